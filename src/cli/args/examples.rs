//! Help that stands below the flags: examples, exit codes, where settings come from.

pub(super) const AFTER_HELP: &str = "\
EXIT CODES
  0    all done
  1    failed: host, schema, events, run directory, or stopped by --max-errors
  2    unusable arguments, configuration or input; nothing was tried
  3    finished, but lines were rejected or groups failed
  4    verify found differences, or undo met conflicts
  130  interrupted, or stopped by --until or --for

Settings are taken from flags, then from the environment (TRIBUTARY_IN_FLIGHT for
--in-flight), then from the file named by --config, then (where there is a run
already) from its run.json, then from the defaults.

The manual: tributary help lists its topics.";

/// Where flags are told in full.
pub(super) const SETTINGS: &str = "\
Each flag in full, with its variable and its key in the configuration file:
  tributary help settings

";

pub(super) const RUNS_EXAMPLES: &str = "\
EXAMPLES
  Which runs were there, and is one of them not over?
    tributary runs --hosts db1:9042 --keyspace courses

  The machine that had the run is gone:
    tributary runs lost 20261123T041455Z-3f9a --hosts db1:9042 --keyspace courses

  Nobody takes back what was merged three months ago:
    tributary runs prune --older-than 90d --hosts db1:9042 --keyspace courses";

pub(super) const FORGET_EXAMPLES: &str = "\
EXAMPLES
  Which runs worked on it?
    tributary lookup 4aa7c1de-… --config tributary.toml

  Erase it in the register, and in the directories of these runs:
    tributary forget 4aa7c1de-… runs/20261123T041455Z-3f9a --config tributary.toml";

pub(super) const SPEC_EXAMPLES: &str = "\
EXAMPLES
  How does the built-in specification find the rows, and what does it do with them?
    tributary spec show

  Draft one of your own tables, and see what is still wrong with it:
    tributary spec init --hosts db1:9042 --keyspace school --account userid > school.toml
    tributary spec check school.toml --hosts db1:9042 --keyspace school

EXIT CODES
  0    nothing is wrong
  1    it does not fit the live schema, or there is no cluster
  2    something is wrong with the text alone";

pub(super) const PLAN_EXAMPLES: &str = "\
EXAMPLES
  Look at a file before anything is changed (no cluster is needed):
    tributary plan pairs.csv

  What would it do to this cluster? (It only reads; sample=N is quicker, and says how sure it is.)
    tributary plan pairs.csv --inspect --hosts db1:9042 --keyspace sunbird_courses
    tributary plan pairs.csv --inspect sample=2000 --config tributary.toml

  Then merge exactly that, and nothing else:
    tributary apply --plan runs/20261123T041455Z-3f9a --config tributary.toml

  Columns of other names, semicolons, compressed, from standard input:
    tributary plan --from-column old --to-column new --delimiter ';' - < pairs.csv.gz

  Only the numbers, for a script:
    tributary plan pairs.csv --json | jq .plan.rejected";

pub(super) const APPLY_EXAMPLES: &str = "\
EXAMPLES
  Try the first hundred groups on a cluster, then all of them:
    tributary apply pairs.csv --hosts db1:9042,db2:9042 --keyspace sunbird_courses \\
      --brokers kafka1:9092 --topic course.batch.job.request --limit 100
    tributary apply pairs.csv --config tributary.toml

  Only this night; what is left goes on in the next (resume RUN --until 06:00):
    tributary apply pairs.csv --config tributary.toml --until 06:00

  Watch it in a browser, hold it from there or from another terminal:
    tributary apply pairs.csv --config tributary.toml --listen 8088
    tributary control runs/20261123T041455Z-3f9a pause

  Also rows to which no other row of a source leads; reads every key of their table:
    tributary apply pairs.csv --config tributary.toml --discover scan

  One of three parts, begun or gone on with by whatever starts processes:
    tributary apply pairs.csv --config tributary.toml --shard 2/3 --run-dir part-2 --or-resume

  With a login and an encrypted Kafka (secrets are not for the command line):
    export TRIBUTARY_PASSWORD=… TRIBUTARY_KAFKA_SASL_PASSWORD=…
    tributary apply pairs.csv --config tributary.toml --username merger \\
      -X security.protocol=SASL_SSL -X sasl.mechanism=SCRAM-SHA-512 -X sasl.username=merger

  Whatever stopped it, and whatever failed, once more:
    tributary resume runs/20261123T041455Z-3f9a

CONFIGURATION FILE
  The long names of the flags with _ for -, and a table for Kafka's properties:
    hosts = [\"db1:9042\", \"db2:9042\"]
    keyspace = \"sunbird_courses\"
    username = \"merger\"
    password_file = \"/run/secrets/cassandra\"
    topic = \"course.batch.job.request\"
    in_flight = 32

    [kafka]
    security.protocol = \"SASL_SSL\"
    sasl.username = \"merger\"";

pub(super) const RESUME_EXAMPLES: &str = "\
EXAMPLES
  Go on after Ctrl-C, a crash, or when the cause of failures is gone:
    tributary resume runs/20261123T041455Z-3f9a

  All groups, after a canary of the first hundred (--limit 100):
    tributary resume runs/20261123T041455Z-3f9a --limit all

  Secrets are kept nowhere, so they are given again:
    TRIBUTARY_PASSWORD=… tributary resume runs/20261123T041455Z-3f9a

WHAT IS REFUSED
  A run can only go on as what it is: with the keyspace, the topic, the merge
  specification, the tables and the pairs that it began with. What differs is named.";

pub(super) const RECORD_EXAMPLES: &str = "\
EXAMPLES
  All that is recorded of the group that this account is part of:
    tributary record runs/20261123T041455Z-3f9a 4aa7c1de-… | jq .

  The rows that its sources had before the merge:
    tributary record runs/20261123T041455Z-3f9a 4aa7c1de-… |
      jq -c '.slices[] | select(.kind == \"merge\") | .body.entries[] | .table, .from[].row'

WHAT IS SHOWN
  group, survivor, pairs, state, reason, t (write time in microseconds), and slices in order:
  kind (merge, sweep, repair, undo), t, completes (the last of its merge), tally, scopes, body.
  Numbers, text, booleans and timestamps (milliseconds) are shown as such, and what that would
  not tell byte by byte as {\"hex\": \"00ff\"}; nulls are left out.";

pub(super) const LOOKUP_EXAMPLES: &str = "\
EXAMPLES
  Where did this account go?
    tributary lookup 4aa7c1de-…

  In one run only, or in the runs of another folder:
    tributary lookup 4aa7c1de-… runs/20261123T041455Z-3f9a
    tributary lookup 4aa7c1de-… /archive/runs

  Who is it now, by the register of all runs?
    tributary lookup 4aa7c1de-… --config tributary.toml

  The survivor, for a script:
    tributary lookup 4aa7c1de-… --json | jq -r '.found[].survivor'

EXIT CODES
  0    the account is in at least one run
  1    it is in none, or a run could not be read (which is named)";

pub(super) const VERIFY_EXAMPLES: &str = "\
EXAMPLES
  Compare the cluster with what the run should have left:
    tributary verify runs/20261123T041455Z-3f9a

  Gently, while the application is at work:
    tributary verify runs/20261123T041455Z-3f9a --rate 200

  Write what is missing or worse again, and announce it:
    tributary verify runs/20261123T041455Z-3f9a --repair

WHAT IS FOUND
  diff.csv has a line for each row that is missing or worse than the run left it (exit
  code 4), and for each that was changed since (which is no difference). A difference is
  read again before it is reported. What was stopped goes on where it was.";

pub(super) const UNDO_EXAMPLES: &str = "\
EXAMPLES
  Give everything back that the run moved:
    tributary undo runs/20261123T041455Z-3f9a

  Only the groups of some pairs (a file with the header and the lines of those pairs):
    tributary undo runs/20261123T041455Z-3f9a --pairs wrong.csv

  What was changed since stays where it is, and with that the undo is over:
    tributary undo runs/20261123T041455Z-3f9a --keep-changed

  Also where somebody has changed a row since, which is lost then:
    tributary undo runs/20261123T041455Z-3f9a --force

WHAT IS LEFT ALONE
  A row of the survivor that was changed or deleted since the run is a conflict: it stays as it is
  and is listed in conflicts.csv (exit code 4). What was written to a source since stays there,
  beside what it gets back. Whatever stops it, the same command goes on.";

pub(super) const CONTROL_EXAMPLES: &str = "\
EXAMPLES
  The application is slow: hold the run, and go on later:
    tributary control runs/20261123T041455Z-3f9a pause
    tributary control runs/20261123T041455Z-3f9a resume

  No more than 50 groups per second; as many as the cluster can take:
    tributary control runs/20261123T041455Z-3f9a rate 50
    tributary control runs/20261123T041455Z-3f9a rate none

  How far is it, and what was the address of its live page?
    tributary control runs/20261123T041455Z-3f9a status

A change of the rate is for the process that runs now; what `resume` begins with is the rate
that the run was given. Exit code 1 if no process works on the run.";

pub(super) const CONFIG_EXAMPLES: &str = "\
EXAMPLES
  What would apply go by, and where does it come from?
    tributary config --config tributary.toml --rate 200

  What would resume go by?
    tributary config runs/20261123T041455Z-3f9a --config tributary.toml

  One value, for a script:
    tributary config --json | jq -r '.settings[] | select(.name == \"hosts\").value'

EXIT CODES
  0    apply (or resume) would take these settings
  2    something is missing or wrong; it is named, and whatever can be printed is";

pub(super) const COMPLETIONS_EXAMPLES: &str = "\
EXAMPLES
  For this shell only:
    source <(tributary completions bash)

  For good:
    tributary completions bash > /etc/bash_completion.d/tributary
    tributary completions zsh  > \"${fpath[1]}/_tributary\"
    tributary completions fish > ~/.config/fish/completions/tributary.fish";

pub(super) const MAN_EXAMPLES: &str = "\
EXAMPLES
  Read it at once:
    tributary man | man -l -

  Install the pages of all commands and topics:
    tributary man pages
    install -D -m 644 -t /usr/local/share/man/man1 pages/*.1
    install -D -m 644 -t /usr/local/share/man/man7 pages/*.7";

pub(super) const HELP_EXAMPLES: &str = "\
EXAMPLES
  What is there to read?
    tributary help

  A topic, and a command:
    tributary help safety
    tributary help control pause";
