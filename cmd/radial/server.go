package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"radial/store"
)

// serverView is a server in JSON.
type serverView struct {
	Name         string     `json:"name"`
	ID           string     `json:"id"`
	State        string     `json:"state"` // up, stopped, silent, died
	Version      string     `json:"version"`
	Started      time.Time  `json:"started_at"`
	Heartbeat    time.Time  `json:"heartbeat_at"`
	Age          int64      `json:"heartbeat_age_seconds"` // by the database's clock
	Stopped      *time.Time `json:"stopped_at"`
	Gone         *time.Time `json:"gone_at"` // when others saw that it had died
	JournalBytes int64      `json:"journal_bytes"`
}

func serverOf(s store.Server) serverView {
	v := serverView{
		Name: s.Name, ID: s.ID, State: "silent", Version: s.Version, Started: s.Started, Heartbeat: s.Heartbeat, Age: int64(s.Age.Seconds()), Stopped: s.Stopped, Gone: s.Gone, JournalBytes: s.JournalBytes,
	}
	switch {
	case s.Stopped != nil:
		v.State = "stopped"
	case s.Alive():
		v.State = "up"
	case s.Gone != nil:
		v.State = "died"
	}
	return v
}

func newServerCmd(a *app) *cobra.Command {
	return nounOf("server", "The servers that use this database", newServerListCmd(a), newServerForgetCmd(a))
}

func newServerListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List servers: who is up, who is silent, and whose accounting is not all in the database",
		Args:  named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			db, done, err := a.db(ctx)
			if err != nil {
				return err
			}
			defer done()
			all, err := db.Servers(ctx)
			if err != nil {
				return err
			}
			views := []serverView{}
			g := grid{titles: []string{"name", "state", "heartbeat", "journal", "version", "id"}}
			for _, s := range all {
				v := serverOf(s)
				views = append(views, v)
				state := v.State
				switch state {
				case "silent":
					state += " for " + s.Age.Round(time.Second).String()
				case "died":
					state += " " + s.Age.Round(time.Second).String() + " ago"
				}
				g.add(v.Name, state, v.Heartbeat.Format(time.DateTime), fmt.Sprint(v.JournalBytes), v.Version, v.ID)
			}
			awaited, err := db.Awaited(ctx)
			if err != nil {
				return err
			}
			for _, s := range awaited {
				a.note("%s: offers that run out and silent sessions wait for it. Start it, or radial journal drain in its data_dir; gone for good: radial server forget %s", printable(s.Account()), s.ID)
			}
			return a.print(views, g.String)
		},
	}
}

func newServerForgetCmd(a *app) *cobra.Command {
	var yes, dryRun bool
	cmd := &cobra.Command{
		Use:   "forget NAME",
		Short: "Forget a server that is gone for good: nothing waits for its journal any more",
		Long: `While a server is silent without having signed off, or has said that it has a journal, offered addresses that run out are
not given to others, and silent sessions are not closed, since its journal may have their Starts and interims. NAME is its name or id (radial server list). What is in its
journal is not in the database: where its data_dir is still there, drain that first (radial journal drain).`,
		Args: named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			db, done, err := a.db(ctx)
			if err != nil {
				return err
			}
			defer done()
			server, err := serverNamed(cmd, db, args[0])
			if err != nil {
				return err
			}
			if server.Alive() {
				return fmt.Errorf("server %s is up: stop it first", args[0])
			}
			if !dryRun {
				question := fmt.Sprintf("Forget server %s, last heard of at %s, with %d bytes in its journal?", printable(server.Name), server.Heartbeat.Format(time.DateTime), server.JournalBytes)
				if err := a.confirm(yes, question); err != nil {
					return err
				}
			}
			if err := db.ForgetServer(ctx, a.by("server.forget", dryRun), server.ID); err != nil {
				return err
			}
			return a.did("server", server.Name, "forgotten", dryRun, nil)
		},
	}
	yesFlag(cmd, &yes)
	dryRunFlag(cmd, &dryRun)
	return cmd
}

// aliveServers are the names of those that have just been heard of.
func aliveServers(ctx context.Context, db *store.DB) ([]string, error) {
	all, err := db.Servers(ctx)
	if err != nil {
		return nil, err
	}
	var alive []string
	for _, s := range all {
		if s.Alive() {
			alive = append(alive, s.Name)
		}
	}
	return alive, nil
}

// serverNamed finds one server by its name or id; several of a name must be
// told apart.
func serverNamed(cmd *cobra.Command, db *store.DB, name string) (store.Server, error) {
	all, err := db.Servers(cmd.Context())
	if err != nil {
		return store.Server{}, err
	}
	var found []store.Server
	for _, s := range all {
		if s.ID == name || s.Name == name {
			found = append(found, s)
		}
	}
	switch len(found) {
	case 0:
		return store.Server{}, fmt.Errorf("there is no server %q: radial server list", name)
	case 1:
		return found[0], nil
	}
	err = fmt.Errorf("%d servers are named %q: say which by its id", len(found), name)
	for _, s := range found {
		err = errors.Join(err, fmt.Errorf("%s, last heard of at %s", s.ID, s.Heartbeat.Format(time.DateTime)))
	}
	return store.Server{}, usageError{err}
}
