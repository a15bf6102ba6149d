"""What the measurements of this folder share: processes, their CPU and memory, PostgreSQL, a Radial of one's own."""
import os, re, signal, subprocess, sys, time, urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TICK = os.sysconf('SC_CLK_TCK')


def sh(*args, **kw):
    try:
        return subprocess.run(args, check=True, text=True, capture_output=True, **kw).stdout
    except subprocess.CalledProcessError as e:
        sys.exit(f'{" ".join(args)}:\n{e.stdout}{e.stderr}')


def status(pid, key):
    """MiB of a line of /proc/PID/status."""
    for line in open(f'/proc/{pid}/status'):
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    return 0


def family(pid):
    """A process and its children."""
    pids = [pid]
    for p in os.listdir('/proc'):
        try:
            if p.isdigit() and open(f'/proc/{p}/stat').read().rsplit(')', 1)[1].split()[1] == str(pid):
                pids.append(int(p))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return pids


def cpu(pid):
    """CPU seconds of a process and of the children that it has reaped."""
    try:
        f = open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()
        return sum(int(x) for x in f[11:15]) / TICK
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def cpu_all(pid):
    return sum(cpu(p) for p in family(pid))


def pss_all(pid):
    """MiB of a process and its children, what they share counted once."""
    total = 0
    for p in family(pid):
        try:
            total += sum(int(l.split()[1]) for l in open(f'/proc/{p}/smaps_rollup') if l.startswith('Pss:')) / 1024
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total


class Place:
    """A cluster that `up` makes in a folder, and the ports of a server in it."""

    def __init__(self, dir, auth, acct, pg, api, users=1000, pool=1000):
        self.dir, self.auth, self.acct, self.pg, self.api = dir, auth, acct, pg, api
        if not os.path.exists(dir + '/env'):
            sh(HERE + '/up', '--dir', dir, '--users', str(users), '--pool', str(pool), '--variant', 'tuned', '--auth-port', str(auth), '--acct-port', str(acct), '--pg-port', str(pg))
            sh(HERE + '/down', dir, 'radiusd')
        self.postmaster = int(open(dir + '/pg/postmaster.pid').readline())

    def psql(self, database, *args, **kw):
        return sh('psql', '-X', '-q', '-At', '-v', 'ON_ERROR_STOP=1', '-h', '127.0.0.1', '-p', str(self.pg), '-U', 'postgres', '-d', database, *args, **kw)

    def env(self, database, **more):
        return {**os.environ, 'RADIAL_DATABASE_URL': f'postgres://postgres@127.0.0.1:{self.pg}/{database}?sslmode=disable', 'RADIAL_DATA_DIR': f'{self.dir}/{database}',
                'RADIAL_RADIUS_AUTH_LISTEN': f'127.0.0.1:{self.auth}', 'RADIAL_RADIUS_ACCT_LISTEN': f'127.0.0.1:{self.acct}', 'RADIAL_API_LISTEN': f'127.0.0.1:{self.api}',
                'RADIAL_LOG_LEVEL': 'warn', **more}

    def has(self, database):
        return self.psql('postgres', '-c', f"select 1 from pg_database where datname = '{database}'").strip() != ''

    def target(self):
        return ['--auth', f'127.0.0.1:{self.auth}', '--acct', f'127.0.0.1:{self.acct}', '--secret', 'testing123']

    def metrics(self):
        """Name with labels -> value."""
        text = urllib.request.urlopen(f'http://127.0.0.1:{self.api}/metrics', timeout=5).read().decode()
        return {m[1] + (m[2] or ''): float(m[3]) for m in re.finditer(r'^([a-z]\w+)(\{[^}]*\})? ([\d.e+-]+)$', text, re.M)}


class Radial:
    """A server of a database of a place."""

    def __init__(self, radial, place, database, *settings):
        self.log = f'{place.dir}/{database}.log'
        out = open(self.log, 'w')
        self.process = subprocess.Popen([radial, 'serve', *(x for s in settings for x in ('--set', s))], env=place.env(database), stderr=out, stdout=out)
        for _ in range(600):
            if subprocess.run([radial, 'client', 'status', '--server', f'127.0.0.1:{place.auth}', '--secret', 'testing123', '--timeout', '200ms', '--tries', '1'], capture_output=True).returncode == 0:
                return
            if self.process.poll() is not None:
                break
            time.sleep(.1)
        sys.exit('radial is not ready: ' + self.said())

    @property
    def pid(self):
        return self.process.pid

    def said(self):
        return open(self.log).read()[-2000:]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
