package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"radial/nas"
	"radial/store"
	"radial/store/pgdev"
)

// startCluster takes a share in the cluster of all tests of this user.
func startCluster(ctx context.Context, durable bool) (*pgdev.Cluster, error) {
	name := fmt.Sprintf("radial-storetest-%d", os.Geteuid())
	if durable {
		name += "-durable"
	}
	return pgdev.Start(ctx, pgdev.Options{Dir: filepath.Join(os.TempDir(), name), NoSync: !durable, Linger: true})
}

// templateLock is the key of the advisory lock under which the template is made.
const templateLock int64 = 0x74656d706c6174

// createDatabase makes a database: a copy of the migrated template, or an
// empty one.
func createDatabase(ctx context.Context, c *pgdev.Cluster, durable, empty bool) (name string, err error) {
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	template := "template0"
	if !empty {
		if template, err = migratedTemplate(ctx, c, conn); err != nil {
			return "", err
		}
	}
	// The process's number is in the name, so that what a killed one has left
	// behind can be told.
	name = fmt.Sprintf("test_%d_%s", os.Getpid(), strings.ToLower(rand.Text()[:10]))
	ddl := "CREATE DATABASE " + name + " TEMPLATE " + template
	if !durable {
		ddl += " STRATEGY file_copy" // half the time where nothing is synced
	}
	_, err = conn.Exec(ctx, ddl)
	return name, err
}

const sqlDatabaseThere = `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1::text)`

// migratedTemplate returns the template of this schema, made once.
func migratedTemplate(ctx context.Context, c *pgdev.Cluster, conn *pgx.Conn) (string, error) {
	version, err := store.SchemaDigest()
	if err != nil {
		return "", err
	}
	name := "template_" + version
	var there bool
	if err := conn.QueryRow(ctx, sqlDatabaseThere, name).Scan(&there); err != nil || there {
		return name, err
	}
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", templateLock); err != nil {
		return "", err
	}
	// given back with the connection
	if err := conn.QueryRow(ctx, sqlDatabaseThere, name).Scan(&there); err != nil || there {
		return name, err
	}
	if err := dropStale(ctx, conn); err != nil {
		return "", err
	}
	making := name + "_new"
	for _, ddl := range []string{"DROP DATABASE IF EXISTS " + making + " WITH (FORCE)", "CREATE DATABASE " + making + " TEMPLATE template0"} {
		if _, err := conn.Exec(ctx, ddl); err != nil {
			return "", err
		}
	}
	db, err := store.Open(ctx, store.Options{URL: nas.Secret(c.URL(making))}, zap.NewNop())
	if err != nil {
		return "", err
	}
	_, err = db.Migrate(ctx)
	db.Close()
	if err != nil {
		return "", err
	}
	_, err = conn.Exec(ctx, "ALTER DATABASE "+making+" RENAME TO "+name)
	return name, err
}

// dropStale drops the databases of test processes that are gone.
func dropStale(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, "SELECT datname::text FROM pg_database WHERE datname LIKE 'test\\_%'")
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		pid, err := strconv.Atoi(strings.Split(name, "_")[1])
		if err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		if _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"); err != nil {
			return err
		}
	}
	return nil
}

func dropDatabase(ctx context.Context, c *pgdev.Cluster, name string) error {
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
	return errors.Join(err, conn.Close(ctx))
}
