"""What bench has found, as Markdown."""
import os, platform, statistics, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def median(runs, key):
    return statistics.median(r[key] for r in runs)


def ratios(a, b):
    return [y['rate'] / x['rate'] for x, y in zip(a, b)]


def spread(values):
    return f'{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})'


def spent(runs):
    return median(runs, 'server') + median(runs, 'postgres')


def us(runs):
    return ' + '.join(f'{median(runs, k):.0f}' for k in ('server', 'postgres', 'load'))


def latency(runs):
    return f'{median(runs, "p50"):.2f} / {median(runs, "p99"):.1f}'


def main_table(rows):
    yield '| work | FreeRADIUS /s | Radial /s | ratio | p50 / p99 ms FreeRADIUS | p50 / p99 ms Radial | CPU µs FreeRADIUS | CPU µs Radial | CPU ratio | acknowledged and stored |'
    yield '|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|'
    for row in rows:
        f, r = row['got']['FreeRADIUS'], row['got']['Radial']
        books = ''
        if 'stored' in r[0]:
            books = '; '.join(f'{sum(x["acknowledged"] for x in runs)} and {sum(x["stored"] for x in runs)}' for runs in (f, r))
        w = row['windows']
        yield (f'| {row["work"].words} | {median(f, "rate"):.0f} ({w["FreeRADIUS"]}) | {median(r, "rate"):.0f} ({w["Radial"]}) | {spread(ratios(f, r))} | {latency(f)} | {latency(r)} '
               f'| {us(f)} | {us(r)} | {spent(f) / spent(r):.1f} | {books} |')


def window_table(rows):
    windows = list(rows[0]['tried']['Radial'])
    yield '| work | ' + ' | '.join(f'{s} {w}' for s in ('FreeRADIUS', 'Radial') for w in windows) + ' |'
    yield '|---|' + '--:|' * 2 * len(windows)
    for row in rows:
        cells = [f'{row["tried"][s][w]["rate"]:.0f}' for s in ('FreeRADIUS', 'Radial') for w in windows]
        yield f'| {row["work"].words} | ' + ' | '.join(cells) + ' |'


def calm_table(calm):
    yield "| work | asked /s | Radial p50 ms | Radial p99 ms | FreeRADIUS p50 ms at that rate | CPU µs Radial |"
    yield '|---|--:|--:|--:|--:|--:|'
    for work, rate, p50, got in calm:
        yield f'| {work.words} | {rate} | {got["p50"]:.2f} | {got["p99"]:.2f} | {p50:.2f} | {us([got])} |'


def ceiling_line(row):
    c, r = row['got']['Ceiling'], row['got']['Radial']
    share = statistics.median(100 * y['rate'] / x['rate'] for x, y in zip(c, r))
    return (f'The ceiling, our listener with an engine that accepts everyone (the same batches, checks and signatures, a reply without attributes): {median(c, "rate"):.0f} a second, '
            f'{median(c, "server"):.1f} µs of CPU, generator {median(c, "load"):.1f} µs. PAP reaches {share:.0f} % of it.')


def text(a, rows, calm, memory, took):
    cpu = next((l.split(':')[1].strip() for l in open('/proc/cpuinfo') if l.startswith('model name')), platform.processor())
    out = [f'{time.strftime("%Y-%m-%d")}, {os.cpu_count()} cores ({cpu}), load {os.getloadavg()[2]:.1f} at the end, generator, server and PostgreSQL on them all; `test/peer/bench --rounds {a.rounds} '
           f'--seconds {a.seconds} --users {a.users} --cached {a.cached}` ({took / 60:.0f} minutes). Medians of {a.rounds} rounds, the servers in turn; ratio: median of the paired runs, and their '
           f'range. CPU: microseconds per request of server + PostgreSQL + generator; its ratio is that of server and PostgreSQL, and says more than the rates where the machine has other work. In brackets the window, which is the best one of 64, 256 and 1024 for that server.', '']
    for variant, head in (('tuned', 'FreeRADIUS tuned (only the modules that the work needs, no radpostauth rows), Radial with `postauth.log: none`:'),
                          ('default', 'FreeRADIUS as shipped (radpostauth rows, detail files, radwtmp), Radial with `postauth.log: all`:')):
        some = [r for r in rows if r['variant'] == variant]
        if some:
            out += [head, '', *main_table(some), '']
    tried = [r for r in rows if r['variant'] == 'tuned' and r['tried'].get('Radial')]
    if tried:
        out += ['Requests a second at each window, one run each (0: some were never answered):', '', *window_table(tried), '']
    out += [ceiling_line(r) + '\n' for r in rows if 'Ceiling' in r['got']]
    out += ["At the peer's own best rate (an open loop, requests arrive at random):", '', *calm_table(calm), ''] if calm else []
    packet = [x['packet'] for r in rows for x in r['got']['Radial']]
    peers = [x['packet'] for r in rows for x in r['got']['FreeRADIUS']]
    if packet:
        out += [f'The generator cost {statistics.median(packet):.1f} µs of CPU a packet, sent or received, while it asked Radial (at most {max(packet):.1f}), and {statistics.median(peers):.1f} while it '
                f'asked FreeRADIUS, where it wakes for nearly every answer.', '']
    out += [f'Memory: Radial {memory["radial"]:.0f} MiB with {memory["users"]} users in its cache (started anew), {memory["radial_peak"]:.0f} MiB at the highest of all runs; FreeRADIUS {memory["peer_peak"]:.0f} MiB at the highest.']
    return '\n'.join(out)


def write(found):
    path = ROOT + '/docs/performance.md'
    s = open(path).read()
    i, j = s.index('<!-- bench -->') + len('<!-- bench -->'), s.index('<!-- /bench -->')
    open(path, 'w').write(s[:i] + '\n' + found + '\n' + s[j:])
