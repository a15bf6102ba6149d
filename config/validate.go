package config

import (
	"path/filepath"
	"strings"
)

// validate judges what one setting alone cannot.
func validate(c *Config) []error {
	var problems []error
	if c.DataDir == "" {
		problems = append(problems, Problem{Key: "data_dir", Want: "want a folder"})
	} else if abs, err := filepath.Abs(c.DataDir); err == nil {
		c.DataDir = abs
	}
	if c.Database.Pooler == "transaction" && c.Database.DirectURL == "" {
		problems = append(problems, Problem{Key: "database.direct_url", Want: "needed with database.pooler: transaction, for LISTEN and locks"})
	}
	if c.Database.DirectURL != "" && c.Database.URL == "" {
		problems = append(problems, Problem{Key: "database.url", Want: "needed where database.direct_url is given"})
	}
	if c.API.Listen != "" {
		if err := checkAddress(c.API.Listen); err != nil {
			problems = append(problems, Problem{Key: "api.listen", Value: c.API.Listen, Want: "want host:port such as 127.0.0.1:8080 (" + err.Error() + ")"})
		}
	}
	if err := c.PoolWatch.Validate(); err != nil {
		problems = append(problems, Problem{Key: "ipam.thresholds", Value: strings.Join(c.PoolWatch.Thresholds, ", "), Want: "want rising percentages such as 80, 95 (" + err.Error() + ")"})
	}
	if a := c.Jobs.Archive; a.After > 0 && a.Retention > 0 && a.Retention < a.After {
		problems = append(problems, Problem{Key: "sessions.archive_retention", Value: a.Retention.String(), Want: "want 0 or no less than sessions.archive_after (" + a.After.String() + ")"})
	}
	return problems
}
