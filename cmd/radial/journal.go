package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"radial/aaa"
	"radial/config"
	"radial/store"
	"radial/store/journal"
)

func newJournalCmd(a *app) *cobra.Command {
	return nounOf("journal", "The accounting in data_dir that is acknowledged and not yet in the database",
		newJournalStatusCmd(a), newJournalInspectCmd(a), newJournalDrainCmd(a))
}

// journalView is what a journal holds, in JSON.
type journalView struct {
	Dir     string     `json:"dir"`
	Records int64      `json:"records"`
	Bytes   int64      `json:"bytes"`
	Oldest  *time.Time `json:"oldest_at"`
	Disk    int64      `json:"disk_bytes"`
	Max     int64      `json:"max_bytes"`
}

func journalOf(c *config.Config, s journal.Stats) journalView {
	v := journalView{Dir: journalDir(c), Records: s.Records, Bytes: s.Bytes, Disk: s.Disk, Max: c.Journal.MaxBytes}
	if !s.Oldest.IsZero() {
		v.Oldest = &s.Oldest
	}
	return v
}

// serverConfig is the configuration with a data_dir that a server has used: what
// a journal command says of any other is worth nothing.
func (a *app) serverConfig() (*config.Config, error) {
	c, err := a.config()
	if err != nil {
		return nil, err
	}
	return c, wantServerDir(c)
}

func newJournalStatusCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "How much waits for the database, and since when; also beside a running server",
		Args:  named(),
		RunE: func(*cobra.Command, []string) error {
			c, err := a.serverConfig()
			if err != nil {
				return err
			}
			stats, err := journal.Look(journalDir(c), nil)
			if err != nil {
				return withoutAccess(c, err)
			}
			v := journalOf(c, stats)
			return a.print(v, func() string {
				if v.Records == 0 {
					return fmt.Sprintf("%s is empty: all accounting is in the database\n", v.Dir)
				}
				return fmt.Sprintf("%s holds %d records, %d bytes of %d; the oldest of %s\n", v.Dir, v.Records, v.Bytes, v.Max, v.Oldest.Format(time.RFC3339))
			})
		},
	}
}

// journalRecord is a record of the journal in JSON.
type journalRecord struct {
	Appended time.Time  `json:"appended_at"`
	At       *time.Time `json:"at,omitempty"`
	Status   string     `json:"status"`
	User     string     `json:"username"`
	NAS      string     `json:"nas"`
	Session  string     `json:"acctsessionid"`
	UniqueID string     `json:"acctuniqueid"`
	Address  string     `json:"framedipaddress,omitempty"`
	Seconds  *int64     `json:"acctsessiontime"`
	Input    *int64     `json:"acctinputoctets"`
	Output   *int64     `json:"acctoutputoctets"`
	Error    string     `json:"error,omitempty"` // why it cannot be read
}

func journalRecordOf(r journal.Record) journalRecord {
	v := journalRecord{Appended: r.At}
	rec, err := store.DecodeRecord(r.Payload)
	if err != nil {
		v.Error = err.Error()
		return v
	}
	v.At, v.Status, v.User, v.NAS = &rec.At, rec.Status.String(), rec.User, rec.NAS.String()
	v.Session, v.UniqueID = rec.SessionID, rec.UniqueID
	v.Seconds, v.Input, v.Output = rec.SessionTime, rec.Input, rec.Output
	if rec.FramedIP.IsValid() {
		v.Address = rec.FramedIP.String()
	}
	return v
}

func newJournalInspectCmd(a *app) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "inspect",
		Short: "Show the oldest records that wait; also beside a running server",
		Args:  named(),
		RunE: func(*cobra.Command, []string) error {
			if err := checkPage(limit, 0); err != nil {
				return err
			}
			c, err := a.serverConfig()
			if err != nil {
				return err
			}
			views := []journalRecord{}
			g := grid{titles: []string{"at", "status", "username", "nas", "session", "address", "seconds", "input", "output"}}
			stats, err := journal.Look(journalDir(c), func(r journal.Record) bool {
				v := journalRecordOf(r)
				views = append(views, v)
				at := v.Appended
				if v.At != nil {
					at = *v.At
				}
				g.add(at.Format(time.RFC3339), orDash(v.Status), orDash(v.User), orDash(v.NAS), orDash(v.Session+v.Error), orDash(v.Address), number(v.Seconds), number(v.Input), number(v.Output))
				return len(views) < limit
			})
			if err != nil {
				return withoutAccess(c, err)
			}
			if more := stats.Records - int64(len(views)); more > 0 {
				a.note("and %d more (--limit)", more)
			}
			return a.print(views, g.String)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most")
	return cmd
}

func number(n *int64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

func newJournalDrainCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "drain",
		Short: "Take the journal into the database, where no server runs on data_dir",
		Long: `A server drains its journal by itself. This is for one that will not start again: what it acknowledged and could not
store is taken into the database, in order. When it is broken off it can be run again: a record that comes twice changes nothing.
A folder that no server has used is refused, and where database.url is not set, one without its database.`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ctx := cmd.Context()
			c, err := a.serverConfig()
			if err != nil {
				return err
			}
			if noCluster(c) { // a new one would take what is nowhere else, and nobody would look for it there
				return fmt.Errorf("data_dir %s has no database, and database.url is not set: say into which database its accounting goes (--database-url, RADIAL_DATABASE_URL)", c.DataDir)
			}
			lock, err := lockDataDir(c.DataDir)
			if err != nil {
				return withoutAccess(c, err)
			}
			defer func() { err = errors.Join(err, lock.Close()) }()
			db, done, err := a.db(ctx)
			if err != nil {
				return err
			}
			defer done()
			before, err := a.drainJournal(ctx, c, db)
			if err != nil {
				return err
			}
			if before.Records == 0 {
				return a.say(journalOf(c, before), "%s is empty: nothing to do", journalDir(c))
			}
			return a.say(journalOf(c, before), "%d records of %s are in the database", before.Records, journalDir(c))
		},
	}
}

// drainJournal returns what the journal held.
func (a *app) drainJournal(ctx context.Context, c *config.Config, db *store.DB) (before journal.Stats, err error) {
	reg := prometheus.NewRegistry()
	j, err := journal.Open(journalDir(c), c.Journal, journal.NewMetrics(reg), zap.NewNop(), a.now)
	if err != nil {
		return before, err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	ledger, err := store.NewLedger(db, c.Ledger, store.NewLedgerMetrics(reg), zap.NewNop(), a.now)
	if err != nil {
		return before, err
	}
	ledger.UseJournal(j)
	if before = j.Stats(); before.Bytes == 0 {
		return before, nil
	}
	p := a.progress("records drained")
	err = ledger.Drain(ctx, func(left journal.Stats) { p.set(int(before.Records - left.Records)) })
	p.done()
	id, idErr := serverID(c.DataDir)
	if err = errors.Join(err, idErr); err != nil {
		return before, err
	}
	if err := db.ServerDrained(ctx, id, j.Stats().Bytes); err != nil {
		return before, err
	}
	return before, db.NoteChange(ctx, a.by("journal.drain", false), id, aaa.Audit{"records": before.Records})
}
