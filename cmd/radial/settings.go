package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"radial/config"
)

// settingFlags are the global flags that say where the configuration comes
// from; the shorthands set one key each.
type settingFlags struct {
	file    string
	set     []string
	dataDir string
	url     string
	level   string
	loaded  *config.Config
}

func (f *settingFlags) register(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVar(&f.file, "config", os.Getenv("RADIAL_CONFIG"), "configuration `file` (else ./radial.yaml, else /etc/radial/radial.yaml)")
	flags.StringArrayVar(&f.set, "set", nil, "a setting, `key=value`; wins over file and environment")
	flags.StringVar(&f.dataDir, "data-dir", "", "shorthand for --set data_dir=`folder`")
	flags.StringVar(&f.url, "database-url", "", "shorthand for --set database.url=`url`")
	flags.StringVar(&f.level, "log-level", "", "shorthand for --set log.level=`level`")
}

func (f *settingFlags) source() (config.Source, error) {
	flags := map[string]string{}
	for _, kv := range f.set {
		key, value, ok := strings.Cut(kv, "=")
		if !ok {
			return config.Source{}, usagef("--set %q: want key=value", kv)
		}
		flags[key] = value
	}
	for key, value := range map[string]string{"data_dir": f.dataDir, "database.url": f.url, "log.level": f.level} {
		if value != "" {
			flags[key] = value
		}
	}
	return config.Source{File: f.file, Env: os.Environ(), Flags: flags}, nil
}

// config loads the configuration once.
func (a *app) config() (*config.Config, error) {
	if a.settings.loaded != nil {
		return a.settings.loaded, nil
	}
	c, err := a.readConfig()
	if err != nil {
		return nil, err
	}
	a.settings.loaded = c
	return c, nil
}

// readConfig loads the configuration anew (SIGHUP, check-config).
func (a *app) readConfig() (*config.Config, error) {
	src, err := a.settings.source()
	if err != nil {
		return nil, err
	}
	c, err := config.Load(src)
	if err != nil {
		return nil, fmt.Errorf("configuration:\n  %s", strings.ReplaceAll(err.Error(), "\n", "\n  "))
	}
	return c, nil
}

func newCheckConfigCmd(a *app) *cobra.Command {
	var keys bool
	cmd := &cobra.Command{
		Use:   "check-config",
		Short: "Read the configuration and tell everything that is wrong with it",
		Args:  named(),
		RunE: func(*cobra.Command, []string) error {
			c := config.Default()
			if !keys {
				var err error
				if c, err = a.readConfig(); err != nil {
					return err
				}
			}
			list := c.Keys()
			return a.print(list, func() string {
				if keys {
					return keysText(list)
				}
				g := grid{titles: []string{"setting", "value", "environment"}}
				for _, k := range list {
					g.add(k.Name, k.Value, k.Env)
				}
				from := "no file, environment and defaults alone"
				if c.File != "" {
					from = c.File
				}
				return g.String() + "\nconfiguration is good (" + from + ")\n"
			})
		},
	}
	cmd.Flags().BoolVar(&keys, "keys", false, "list every setting with its default instead")
	return cmd
}

// keysText lists the settings for people: default, and what makes a change
// hold.
func keysText(list []config.Key) string {
	g := grid{titles: []string{"setting", "default", "a change needs"}}
	for _, k := range list {
		needs := "a restart"
		if k.Reload {
			needs = "a reload (SIGHUP)"
		}
		g.add(k.Name, orDash(k.Value), needs)
	}
	return g.String() + "\nIn the environment: RADIAL_ and the key in capitals, dots as _ (RADIAL_LOG_LEVEL). docs/configuration.md explains each.\n"
}
