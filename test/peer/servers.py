"""The servers that bench runs: FreeRADIUS (with the PostgreSQL that both use), Radial, and the ceiling."""
import os, signal, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
RADIAL = os.path.join(ROOT, 'bin', 'radial')
TICK = os.sysconf('SC_CLK_TCK')
OCTETS = 1_000_003  # that `radial load` counts up in a session with each record after its Start


def sh(*args, **kw):
    out = subprocess.run(args, text=True, capture_output=True, **kw)
    if out.returncode:
        sys.exit(f'{" ".join(args)}:\n{out.stdout}{out.stderr}')
    return out.stdout


def cpu(pid):
    """CPU seconds of a process and of the children that it has reaped."""
    try:
        f = open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(x) for x in f[11:15]) / TICK


def postgres_cpu(pid):
    total = cpu(pid)
    for p in os.listdir('/proc'):
        if p.isdigit():
            try:
                if open(f'/proc/{p}/stat').read().rsplit(')', 1)[1].split()[1] == str(pid):
                    total += cpu(p)
            except (FileNotFoundError, ProcessLookupError):
                pass
    return total


def rss(pid):
    """MiB now, and at the highest."""
    found = dict(line.split(':', 1) for line in open(f'/proc/{pid}/status') if line.startswith('Vm'))
    return int(found['VmRSS'].split()[0]) / 1024, int(found['VmHWM'].split()[0]) / 1024


class Server:
    database = ''

    def stored(self, mode):
        """How many records of a run the rows stand for: a Start made the row, all else counted its octets up."""
        rows, records = self.psql(self.database, '-F', ' ', '-c', f'select count(*), coalesce(sum(acctinputoctets), 0)::bigint / {OCTETS} from radacct').split()
        return {'start': int(rows), 'session': int(rows) + int(records)}.get(mode, int(records))


class Peer(Server):
    """FreeRADIUS, set up by `up`; also the PostgreSQL that both use."""
    name, database = 'FreeRADIUS', 'radius'

    def __init__(self, a, d):
        self.dir, self.set, self.peak = d, (True, 'tuned'), 0
        self.up('--dir', d, '--users', str(a.users), '--pool', str(a.pool), '--threads', '16', '--variant', 'tuned')

    def up(self, *args):
        sh(HERE + '/up', *args)

    @property
    def env(self):
        return dict(l.strip().split('=', 1) for l in open(self.dir + '/env') if '=' in l)

    def psql(self, database, *args, **kw):
        return sh('psql', '-X', '-q', '-At', '-v', 'ON_ERROR_STOP=1', '-h', '127.0.0.1', '-p', self.env['PG_PORT'], '-U', 'postgres', '-d', database, *args, **kw)

    def prepare(self, pool, variant):
        if (pool, variant) != self.set:
            self.peak = max(self.peak, rss(self.target()[3])[1])
            self.up('--reuse', self.dir, '--variant', variant, '--threads', '16', '--ippool', 'yes' if pool else 'no')
            self.set = pool, variant
        if pool:
            self.psql('radius', '-f', HERE + '/reset.sql')

    def target(self):
        e = self.env
        return e['AUTH'], e['ACCT'], e['SECRET'], int(e['RAD_PID'])


class Radial(Server):
    name, database = 'Radial', 'radial'

    def __init__(self, a, peer):
        self.peer, self.psql, self.process, self.set, self.peak = peer, peer.psql, None, None, 0
        peer.psql('postgres', '-c', 'create database radial')
        self.settings = {**os.environ, 'RADIAL_DATABASE_URL': f'postgres://postgres@127.0.0.1:{peer.env["PG_PORT"]}/radial?sslmode=disable', 'RADIAL_DATA_DIR': peer.dir + '/radial',
                         'RADIAL_RADIUS_AUTH_LISTEN': '127.0.0.1:32812', 'RADIAL_RADIUS_ACCT_LISTEN': '127.0.0.1:32813', 'RADIAL_API_LISTEN': '127.0.0.1:32880',
                         'RADIAL_LOG_LEVEL': 'warn'}
        for words in (['migrate', 'up'], ['nas', 'add', '127.0.0.0/8', '--secret', 'testing123', '--allow-weak-secret'], ['pool', 'add', 'main', '--cidr', '10.64.0.0/15']):
            sh(RADIAL, *words, env=self.settings)
        # the peer's own users: everything of its data.sql that stands before the pool
        rows = open(HERE + '/data.sql').read().split('-- The pool in the state')[0]
        self.psql('radial', '-v', f'users={a.users}', input=rows)
        self.psql('radial', '-c', 'vacuum analyze')

    def prepare(self, pool, variant):
        if self.set != (pool, variant):
            self.psql('radial', '-c', "delete from radgroupcheck where attribute = 'Pool-Name'")
            if pool:
                self.psql('radial', '-c', "insert into radgroupcheck (groupname, attribute, op, value) values ('isp', 'Pool-Name', ':=', 'main')")
            if self.set and self.set[1] != variant:
                self.stop()
            self.set = pool, variant
        if pool:
            self.psql('radial', '-c', 'truncate radacct, radpostauth, radial.address_history',
                      '-c', "update radial.addresses set state = 'free', username = null, mac = null, nas = null, port = null, session_id = null, radacctid = null, until = null where state <> 'free' or username is not null",
                      '-c', 'vacuum analyze radial.addresses', '-c', 'vacuum analyze radacct', '-c', 'checkpoint')
        if self.process is None:
            self.start('none' if variant == 'tuned' else 'all')

    def start(self, postauth):
        self.log = open(self.peer.dir + '/radial.log', 'a')
        self.process = subprocess.Popen([RADIAL, 'serve'], env={**self.settings, 'RADIAL_POSTAUTH_LOG': postauth}, stderr=self.log, stdout=self.log)
        await_answer('127.0.0.1:32812', lambda: open(self.peer.dir + '/radial.log').read()[-2000:])

    def target(self):
        return '127.0.0.1:32812', '127.0.0.1:32813', 'testing123', self.process.pid

    def stop(self):
        if self.process:
            self.peak = max(self.peak, rss(self.process.pid)[1])
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
            self.process = None


class Ceiling(Server):
    """Radial's own listener with an engine that accepts everyone: the most that its sockets, checks and signatures allow."""
    name = 'Ceiling'

    def __init__(self):
        self.process = None

    def prepare(self, pool, variant):
        if self.process is None:
            program = os.path.join(ROOT, '.cache', 'ceiling.test')
            sh('go', 'test', '-c', '-o', program, './radius', cwd=ROOT)
            self.process = subprocess.Popen([program], env={**os.environ, 'RADIAL_CEILING': '127.0.0.1:33812'}, stdin=subprocess.PIPE)
            await_answer('127.0.0.1:33812', lambda: '')

    def target(self):
        return '127.0.0.1:33812', '127.0.0.1:33813', 'testing123', self.process.pid

    def stop(self):
        if self.process:
            self.process.stdin.close()  # which ends it
            self.process.wait(60)


def await_answer(address, said):
    for _ in range(300):
        if subprocess.run([RADIAL, 'client', 'status', '--server', address, '--secret', 'testing123', '--timeout', '200ms', '--tries', '1'], capture_output=True).returncode == 0:
            return
        time.sleep(0.1)
    sys.exit(f'no answer from {address}: {said()}')
