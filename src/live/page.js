'use strict';
// Everything that comes from the run is set as text, never as HTML: ids are whatever somebody registered with.
const at = id => document.getElementById(id);
const say = (id, text) => { at(id).textContent = text; };
const whole = new Intl.NumberFormat('en-GB');
const count = n => whole.format(n);
const rate = n => n === null ? '–' : n < 10 ? n.toFixed(1) : count(Math.round(n));

const size = n => n < 1e3 ? `${n} B` : n < 1e6 ? `${(n / 1e3).toFixed(1)} kB` : n < 1e9 ? `${(n / 1e6).toFixed(1)} MB` : `${(n / 1e9).toFixed(1)} GB`;

const clock = s => {
  const t = Math.ceil(s), two = n => String(n).padStart(2, '0');
  const [h, m, sec] = [Math.floor(t / 3600), Math.floor(t / 60) % 60, t % 60];
  return h > 0 ? `${h}:${two(m)}:${two(sec)}` : `${m}:${two(sec)}`;
};
const duration = us => us < 1e3 ? `${us} µs` : us < 1e5 ? `${(us / 1e3).toPrecision(3)} ms`
  : us < 1e6 ? `${Math.round(us / 1e3)} ms` : `${(us / 1e6).toPrecision(3)} s`;

// The token comes in the fragment, which browsers keep to themselves; it is taken out of the address bar, and kept for
// reloads of this tab alone.
const fragment = new URLSearchParams(location.hash.slice(1)).get('token');
if (fragment) {
  sessionStorage.setItem('token', fragment);
  history.replaceState(null, '', location.pathname);
}
const token = sessionStorage.getItem('token');

let now = null;       // the last figures
let over = false;     // the run has ended
let sure = null;      // the second press of Stop is waited for

function element(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function notice(kind, text, command) {
  const shown = at('notice');
  shown.hidden = !text;
  shown.className = `notice ${kind}`;
  shown.replaceChildren(document.createTextNode(text || ''));
  if (command) shown.append(element('code', command));
}

function show(f) {
  now = f;
  const scanning = f.phase === 'scanning' && f.scan;
  const { total, done, failed } = f.groups;
  const finished = scanning ? f.scan.ranges : done + failed;
  const of = scanning ? f.scan.ranges_total : total;
  const part = of > 0 ? finished / of : f.ended ? 1 : 0;
  say('command', f.command);
  say('run', f.run || '…');
  const phase = f.ended ? f.ended.how : f.stopping ? 'stopping' : f.paused ? 'paused' : f.phase;
  say('phase', phase);
  at('phase').className = 'badge ' + (f.ended ? (f.ended.exit_code === 0 ? 'good' : 'bad') : f.paused || f.stopping ? 'paused' : '');
  say('finished', of > 0 ? count(finished) : '–');
  say('total', of > 0 ? count(of) : '–');
  say('unit', scanning ? 'ranges scanned' : 'groups');
  say('percent', of > 0 ? `${Math.floor(part * 100)} %` : '');
  at('bar').setAttribute('aria-valuenow', Math.floor(part * 100));
  at('done-bar').style.width = `${of > 0 ? 100 * (scanning ? finished : done) / of : 0}%`;
  at('failed-bar').style.width = `${of > 0 && !scanning ? 100 * failed / of : 0}%`;
  say('failed-count', scanning ? `${count(f.scan.rows)} rows looked at, ${count(f.scan.clustered_rows)} of sources found` : `${count(failed)} failed`);
  at('failed-count').className = failed > 0 ? 'bad' : '';
  const until = f.until === null ? '' : `until ${new Date(f.until).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })}`;
  say('left', [f.seconds_left === null ? '' : `${clock(f.seconds_left)} left`, until].filter(Boolean).join(', '));
  document.title = `${of > 0 ? Math.floor(part * 100) + ' % ' : ''}${phase} – tributary`;

  const u = f.under_way;
  say('rate', f.paused ? 'paused' : rate(u.groups_per_s));
  say('rate-limit', f.rate_limit === null ? 'no limit set' : `at most ${f.rate_limit}`);
  spark(f.groups_recent);
  say('in-flight', count(u.requests));
  say('under-groups', count(u.groups));
  say('under-windows', count(u.windows));
  say('under-oldest', u.oldest_s === null ? '–' : `${u.oldest_s.toFixed(1)} s`);
  say('under-bytes', size(u.bytes));
  say('in-flight-limit', count(f.requests.limit));
  say('held', f.reads && f.reads.held_back ? `· held back by --max-latency: a read takes ${duration(f.reads.p99_us)}` : '');
  say('retries', count(f.retries));
  say('retries-recent', f.cassandra.retries_recent > 0 ? `${count(f.cassandra.retries_recent)} in the last 10 s` : '');
  say('events', count(f.events.acknowledged));
  const out = f.events.produced - f.events.acknowledged;
  say('events-out', f.events.state === 'off' ? 'none are sent' : out > 0 ? `${count(out)} on their way` : 'acknowledged');
  say('commits', count(f.journal_commits));
  say('elapsed', clock(Math.floor(f.elapsed_s)));
  servers(f);
  latencies(f.latency);
  failures(f);
  detail(f);
  controls(f);
  say('footer', f.run_dir ? `Run directory: ${f.run_dir}` : '');
}

function spark(recent) {
  const top = Math.max(1, ...recent);
  const from = 180 - recent.length;
  const points = recent.map((n, second) => `${from + second + 1},${(39 - 37 * n / top).toFixed(1)}`);
  at('spark-line').setAttribute('points', points.join(' '));
  say('spark-top', recent.length > 1 ? `highest ${count(top)}` : '');
}

const words = { unknown: 'not connected yet', ok: 'ok', waiting: 'waiting', off: 'not used' };
function servers(f) {
  const { cassandra: c, events: e } = f;
  say('sink', e.sink ?? 'Events');
  for (const [id, server] of [['cassandra', c], ['sink-dot', e]]) {
    at(id).className = `dot ${server.state}`;
    say(id, words[server.state]);
  }
  const nodes = c.nodes > 0 ? `· ${c.nodes_connected} of ${c.nodes} ${c.nodes === 1 ? 'node' : 'nodes'} connected` : '';
  const error = details.cassandra.last_error;
  const trouble = c.retries_recent > 0 ? `; ${count(c.retries_recent)} requests tried again in 10 s${error ? `, last: ${error}` : ''}` : '';
  say('cassandra-text', nodes + trouble);
  const silent = e.state === 'waiting' ? `; nothing acknowledged for ${Math.floor(e.silent_s)} s` : '';
  say('sink-text', e.to ? `· ${e.to}${silent}` : '');
}

function latencies(operations) {
  const rows = operations.map(operation => {
    const row = element('tr');
    const kind = element('td');
    // A long name may be broken after a low line.
    operation.lane.split(/(?<=_)/).forEach((part, at) => kind.append(...(at > 0 ? [element('wbr')] : []), part));
    row.append(kind, element('td', count(operation.count)), element('td', duration(operation.p50_us)),
      element('td', duration(operation.p99_us)), element('td', duration(operation.max_us)));
    return row;
  });
  if (rows.length === 0) {
    const none = element('td', 'nothing was asked for');
    none.colSpan = 5;
    rows.push(element('tr'));
    rows[0].append(none);
  }
  at('latency').replaceChildren(...rows);
}

// What may name an account is not among the events, which anybody may read. It is asked for when there is news.
let details = { failures: [], cassandra: {} };
let asked = '';
async function detail(f) {
  const news = JSON.stringify([f.failures, f.cassandra.state === 'waiting' ? f.retries : 0]);
  if (token === null || news === asked) return;
  asked = news;
  try {
    const answer = await fetch('status', { headers: { Authorization: `Bearer ${token}` } });
    if (answer.ok) details = await answer.json();
  } catch {
    asked = '';
  }
  servers(now);
  failures(now);
}

let shownFailures = '';
function failures(f) {
  const { failed } = f.groups;
  say('failures-note', failed === 0 ? 'none' : failed > f.failures.length ? `the last ${f.failures.length} of ${count(failed)}; all are in failures.csv` : `${count(failed)}, also in failures.csv`);
  const known = new Map(details.failures.map(failure => [failure.line, failure]));
  const list = f.failures.map(failure => known.get(failure.line) || failure);
  const key = JSON.stringify(list);
  if (key === shownFailures) return;
  shownFailures = key;
  at('failures').replaceChildren(...list.map(failure => {
    const item = element('li');
    const more = failure.pairs > 1 ? ` and ${failure.pairs - 1} more` : '';
    const place = `line ${failure.line}${more}, ${failure.at}`;
    if (failure.from === null) {
      item.append(element('span', place), element('small', 'ids and reason are shown to those with the token'));
    } else {
      item.append(element('code', `${failure.from} → ${failure.to}`), element('small', place), element('span', failure.reason, 'why'));
    }
    return item;
  }));
}

const PACE = ['pause', 'rate-input', 'set-rate', 'no-rate'];
function controls(f) {
  const may = token !== null && !over && !f.stopping;
  const paces = may && f.requests.limit > 0;
  say('pause', f.paused ? 'Resume' : 'Pause');
  for (const id of PACE) at(id).disabled = !paces;
  at('rate-input').placeholder = f.rate_limit === null ? 'no limit' : f.rate_limit;
  at('stop').disabled = !may;
  if (token === null) say('said', 'To control the run, open the address that was printed at its start: it has the token.');
}

async function order(what) {
  say('said', '…');
  try {
    const answer = await fetch(`control/${what}`, { method: 'POST', headers: { Authorization: `Bearer ${token}` } });
    const text = (await answer.text()).trim();
    say('said', answer.status === 401 ? 'The token is not that of this run: open the address that it printed at its start.' : text);
  } catch {
    say('said', 'There was no answer.');
  }
}

at('pause').addEventListener('click', () => order(now && now.paused ? 'resume' : 'pause'));
at('set-rate').addEventListener('click', () => {
  const wanted = at('rate-input').value.trim().replace(',', '.');
  if (wanted === '') {
    say('said', 'Groups per second is a number, as 50 or 0.5.');
  } else {
    order(`rate/${encodeURIComponent(wanted)}`);
  }
});
at('no-rate').addEventListener('click', () => order('rate/none'));
at('rate-input').addEventListener('keydown', event => { if (event.key === 'Enter') at('set-rate').click(); });
at('stop').addEventListener('click', () => {
  const calm = () => { clearTimeout(sure); sure = null; at('stop').classList.remove('sure'); say('stop', 'Stop'); };
  if (sure !== null) {
    calm();
    order('stop');
    return;
  }
  at('stop').classList.add('sure');
  say('stop', 'Really stop?');
  sure = setTimeout(calm, 5000);
});

const stream = new EventSource('events');
stream.addEventListener('figures', event => {
  notice('', '');
  show(JSON.parse(event.data));
});
stream.addEventListener('ended', event => {
  over = true;
  stream.close();
  show(JSON.parse(event.data));
  const { how, exit_code, again } = now.ended;
  notice(exit_code === 0 ? 'good' : 'bad', `The run has ended: ${how} (exit code ${exit_code}). These are its final figures.${again ? ' To go on:' : ''}`, again);
});
stream.addEventListener('error', () => {
  if (over) return;
  for (const id of [...PACE, 'stop']) at(id).disabled = true;
  const gone = stream.readyState === EventSource.CLOSED;
  const dir = now && now.run_dir;
  notice('bad', `${gone ? 'The connection is gone: reload to try again.' : 'The connection is lost and tried again.'} What is shown is from ${new Date().toLocaleTimeString()} or before. If the process has died, nothing is lost:`, dir ? `tributary resume ${dir}` : null);
});
