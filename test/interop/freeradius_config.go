package interop

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// stockConfig is where Debian has FreeRADIUS's configuration.
const stockConfig = "/etc/freeradius/3.0"

// sqlDriver is the module of freeradius-postgresql.
const sqlDriver = "/usr/lib/freeradius/rlm_sql_postgresql.so"

// enabledModules are the modules of the stock configuration that take part.
// EAP stays out, but for MD5 where it is asked for: the rest wants certificates.
var enabledModules = []string{
	"always", "attr_filter", "chap", "date", "exec", "expiration", "expr", "files", "logintime", "mschap", "pap", "preprocess", "realm",
}

// radiusdConf is the stock radiusd.conf with folders of the test and without
// what would slow it down.
const radiusdConf = `
prefix = /usr
raddbdir = {{.Dir}}/raddb
logdir = {{.Dir}}/log
radacctdir = {{.Dir}}/log/radacct
run_dir = {{.Dir}}/run
db_dir = {{.Dir}}/run
libdir = /usr/lib/freeradius
name = freeradius
confdir = ${raddbdir}
modconfdir = ${confdir}/mods-config
certdir = ${confdir}/certs
cadir = ${confdir}/certs
pidfile = ${run_dir}/freeradius.pid
max_request_time = 30
cleanup_delay = 5
max_requests = 16384
hostname_lookups = no
log {
	destination = stdout
	auth = yes
	msg_denied = "You are already logged in - access denied"
}
checkrad = /usr/sbin/checkrad
security {
	user = freerad
	group = freerad
	max_attributes = 200
	reject_delay = 0
	status_server = yes
}
thread pool {
	start_servers = 2
	max_servers = 8
	min_spare_servers = 1
	max_spare_servers = 4
}
client loopback {
	ipaddr = 127.0.0.0/8
	secret = "{{.Secret}}"
	require_message_authenticator = no
	nas_type = other
}
{{if .Client}}client device {
	ipaddr = {{.Client}}
	secret = "{{.Secret}}"
	require_message_authenticator = no
	nas_type = other
}
{{end}}proxy_requests = yes
proxy server { default_fallback = no }
{{with .ProxyAuth}}home_server target-auth { type = auth
	ipaddr = {{.Host}}
	port = {{.Port}}
	secret = "{{$.ProxySecret}}"
	response_window = 10
	status_check = none
}
home_server_pool target-auth { home_server = target-auth }
realm target-auth { auth_pool = target-auth
	nostrip
}{{end}}
{{with .ProxyAcct}}home_server target-acct { type = acct
	ipaddr = {{.Host}}
	port = {{.Port}}
	secret = "{{$.ProxySecret}}"
	response_window = 10
	status_check = none
}
home_server_pool target-acct { home_server = target-acct }
realm target-acct { acct_pool = target-acct
	nostrip
}{{end}}
modules {
	$INCLUDE mods-enabled/
}
policy {
	$INCLUDE policy.d/
}
$INCLUDE sites-enabled/
`

// site is the stock site's order of modules (radius-semantics §2.1), with sql
// where it is asked for.
const site = `
server default {
listen { type = auth
	ipaddr = {{.Address}}
	port = {{.Auth}}
}
listen { type = acct
	ipaddr = {{.Address}}
	port = {{.Acct}}
}
authorize {
	{{if .FilterUsername}}filter_username{{end}}
	preprocess
{{if .ProxyAuth}}	update control { Proxy-To-Realm := "target-auth" }
{{else}}	chap
	mschap
	suffix
	{{if .EAPMD5}}eap { ok = return
	}{{end}}
	files
	{{if .SQL}}sql{{end}}
	expiration
	logintime
	{{if .SQL}}dailycounter
	weeklycounter
	monthlycounter
	noresetcounter
	expire_on_login{{end}}
	pap
{{end}}}
authenticate {
	Auth-Type PAP { pap
	}
	Auth-Type CHAP { chap
	}
	Auth-Type MS-CHAP { mschap
	}
	{{if .EAPMD5}}eap{{end}}
}
preacct {
	preprocess
	acct_unique
	suffix
	{{if .ProxyAcct}}update control { Proxy-To-Realm := "target-acct" }{{end}}
}
accounting {
	{{if .IPPool}}sqlippool{{end}}
	{{if and .SQL (not .ProxyAcct)}}sql{{end}}
	exec
	attr_filter.accounting_response
	ok # as detail and unix say in the stock site: acknowledge whatever it is
}
session {
	{{if .SQL}}sql{{end}}
}
post-auth {
	{{if .IPPool}}sqlippool{{end}}
	{{if .SQL}}sql{{end}}
	exec
	Post-Auth-Type REJECT {
		{{if .SQL}}sql{{end}}
		attr_filter.access_reject
	}
}
}
{{if .CoA}}server coa {
listen { type = coa
	ipaddr = {{.Address}}
	port = {{.DAS}}
	virtual_server = coa
}
recv-coa {
	{{.Config.CoA}}
}
send-coa {
	ok
}
}
{{end}}`

// eapMD5 is the module eap without what wants certificates.
const eapMD5 = `eap {
	default_eap_type = md5
	timer_expire = 60
	ignore_unknown_eap_types = no
	max_sessions = 1024
	md5 {
	}
}
`

// hostPort is a server that requests are forwarded to.
type hostPort struct{ Host, Port string }

// values are what the templates are filled with.
type values struct {
	Config
	Dir, Auth, Acct, DAS string
	SQL                  bool
	ProxyAuth, ProxyAcct *hostPort
}

// writeConfig makes raddb, log and run below dir.
func writeConfig(dir string, c Config, auth, acct, das string, owner ids) error {
	v := values{Config: c, Dir: dir, Auth: auth, Acct: acct, DAS: das, SQL: c.SQLDSN != ""}
	if v.ProxySecret == "" {
		v.ProxySecret = c.Secret
	}
	var err error
	if v.ProxyAuth, err = splitTarget(c.ProxyTo); err != nil {
		return err
	}
	if v.ProxyAcct, err = splitTarget(c.ProxyAcctTo); err != nil {
		return err
	}
	raddb := filepath.Join(dir, "raddb")
	return errors.Join(
		copyStock(raddb),
		fill(filepath.Join(raddb, "radiusd.conf"), radiusdConf, v),
		fill(filepath.Join(raddb, "sites-enabled", "default"), site, v),
		os.WriteFile(filepath.Join(raddb, "mods-config/files/authorize"), []byte(c.Users+"\n"), 0o640),
		enableModules(raddb, c.SQLDSN),
		enableEAP(raddb, c.EAPMD5),
		enableIPPool(raddb, c),
		os.MkdirAll(filepath.Join(dir, "log/radacct"), 0o750),
		os.MkdirAll(filepath.Join(dir, "run"), 0o750),
		chownAll(dir, owner),
	)
}

func splitTarget(addr string) (*hostPort, error) {
	if addr == "" {
		return nil, nil
	}
	host, port, err := net.SplitHostPort(addr)
	return &hostPort{host, port}, err
}

// copyStock copies those parts of the configuration that are used unchanged.
func copyStock(raddb string) error {
	if err := os.RemoveAll(raddb); err != nil {
		return err
	}
	for _, part := range []string{"dictionary", "mods-config", "policy.d", "mods-available"} {
		from := filepath.Join(stockConfig, part)
		err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			to := filepath.Join(raddb, strings.TrimPrefix(path, stockConfig))
			switch {
			case e.IsDir():
				return os.MkdirAll(to, 0o750)
			case !e.Type().IsRegular():
				return nil
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return errors.Join(os.MkdirAll(filepath.Dir(to), 0o750), os.WriteFile(to, data, 0o640))
		})
		if err != nil {
			return fmt.Errorf("copy %s: %w", from, err)
		}
	}
	return errors.Join(os.MkdirAll(filepath.Join(raddb, "mods-enabled"), 0o750), os.MkdirAll(filepath.Join(raddb, "sites-enabled"), 0o750))
}

func fill(path, text string, v values) error {
	tmpl, err := template.New(filepath.Base(path)).Parse(text)
	if err != nil {
		return err
	}
	var b strings.Builder
	if err := tmpl.Execute(&b, v); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(b.String()), 0o640)
}

// enableModules links the modules, and sql with the database's address.
func enableModules(raddb, dsn string) error {
	var errs []error
	for _, m := range enabledModules {
		errs = append(errs, os.Symlink("../mods-available/"+m, filepath.Join(raddb, "mods-enabled", m)))
	}
	if dsn == "" {
		return errors.Join(errs...)
	}
	data, err := os.ReadFile(filepath.Join(raddb, "mods-available/sql"))
	if err != nil {
		return err
	}
	text := string(data)
	for _, change := range [][2]string{
		{`dialect = "sqlite"`, `dialect = "postgresql"`},
		{`driver = "rlm_sql_null"`, `driver = "rlm_sql_${dialect}"`},
		{`radius_db = "radius"`, `radius_db = "` + strings.ReplaceAll(dsn, `"`, `\"`) + `"`},
		{`send_application_name = yes`, `send_application_name = no`},
	} {
		if strings.Count(text, change[0]) == 0 {
			errs = append(errs, fmt.Errorf("mods-available/sql has no line %s", change[0]))
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	errs = append(errs, os.WriteFile(filepath.Join(raddb, "mods-enabled/sql"), []byte(text), 0o640),
		os.Symlink("../mods-available/sqlcounter", filepath.Join(raddb, "mods-enabled/sqlcounter")))
	return errors.Join(errs...)
}

func enableEAP(raddb string, md5 bool) error {
	if !md5 {
		return nil
	}
	return os.WriteFile(filepath.Join(raddb, "mods-enabled/eap"), []byte(eapMD5), 0o640)
}

// procedureQueries are the lines of procedure.sql's head.
const procedureQueries = `
allocate_find = "\
	SELECT fr_allocate_previous_or_new_framedipaddress( \
		'%{control:${pool_name}}', '%{SQL-User-Name}', '%{Calling-Station-Id}', '%{NAS-IP-Address}', \
		'${pool_key}', ${lease_duration} \
	)"
allocate_update = ""
`

// enableIPPool enables sqlippool, by its queries or by its procedure.
func enableIPPool(raddb string, c Config) error {
	if c.IPPool == "" {
		return nil
	}
	key := c.PoolKey
	if key == "" {
		key = "%{Calling-Station-Id}"
	}
	data, err := os.ReadFile(filepath.Join(raddb, "mods-available/sqlippool"))
	if err != nil {
		return err
	}
	text := string(data)
	for _, change := range [][2]string{{`dialect = "mysql"`, `dialect = "postgresql"`}, {`pool_key = "%{NAS-Port}"`, `pool_key = "` + key + `"`}} {
		if strings.Count(text, change[0]) == 0 {
			return fmt.Errorf("mods-available/sqlippool has no line %s", change[0])
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	if err := os.WriteFile(filepath.Join(raddb, "mods-enabled/sqlippool"), []byte(text), 0o640); err != nil || c.IPPool == IPPoolQueries {
		return err
	}
	path := filepath.Join(raddb, "mods-config/sql/ippool/postgresql/queries.conf")
	if data, err = os.ReadFile(path); err != nil {
		return err
	}
	text = strings.NewReplacer("\nallocate_existing = ", "\nunused_existing = ", "\nallocate_find = ", "\nunused_find = ").Replace(string(data))
	return os.WriteFile(path, []byte(text+procedureQueries), 0o640)
}

func chownAll(dir string, owner ids) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, owner.uid, owner.gid)
	})
}
