# shellcheck shell=bash disable=SC2154
# Part of scripts/services: is a server running, how is it launched, is it healthy?

# --- processes ----------------------------------------------------------------

# Start time of a process in clock ticks since boot; fails if it is gone or a zombie.
start_time() { # PID
    local stat threads
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    read -ra stat <<<"${stat##*) }" # what follows the process name: state is first, start time 20th
    threads=("/proc/$1/task/"*)     # of a killed process, some may outlive the first
    [[ ${stat[0]} != [ZX] || ${#threads[@]} -gt 1 ]] && say "${stat[19]}"
}

# Does the process that we started as SERVER still run? Sets `pid`.
alive() { # SERVER
    local recorded since
    pid=
    [[ -s $dir/$1/pid && -s $dir/$1/pid.starttime ]] || return 1
    recorded=$(<"$dir/$1/pid")
    since=$(start_time "$recorded") || return 1
    [[ $since == "$(<"$dir/$1/pid.starttime")" ]] && pid=$recorded
}

launch() { # SERVER COMMAND...
    local home=$dir/$1 fd
    shift
    rm -f "$home/pid"
    (
        cd "$home" || exit
        exec </dev/null >"$home/logs/out.log" 2>&1
        for fd in "/proc/$BASHPID/fd/"*; do
            fd=${fd##*/}
            if ((fd > 2)); then eval "exec $fd>&-"; fi
        done
        exec setsid "$@"
    ) &
    start_time $! >"$home/pid.starttime" || true
    say $! >"$home/pid"
}

# --- health -------------------------------------------------------------------

port_open() { timeout 3 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null; } # ADDRESS PORT

# Sends BYTES (as printf escapes) to SERVER and prints the first COUNT bytes of its answer in hex.
ask() { # SERVER BYTES COUNT
    if [[ $1 != kafka* && ${setting[tls]} == yes ]]; then
        head -c "$3" < <({ printf "$2" && sleep 3; } | timeout 5 openssl s_client -quiet -connect "$(place "$1")" \
            -CAfile "$dir/tls/ca.pem" -cert "$dir/tls/client.pem" -key "$dir/tls/client.key" 2>/dev/null) |
            od -An -v -tx1 | tr -d ' \n' || true
        return
    fi
    timeout 5 bash -c "exec 3<>/dev/tcp/$(address "$1")/$(port "$1"); printf '$2' >&3; head -c $3 <&3" 2>/dev/null |
        od -An -v -tx1 | tr -d ' \n' || true
}

# CQL: an OPTIONS frame is answered by SUPPORTED (opcode 6); a node opens the port
# only after it has joined its cluster. Kafka: ApiVersions is answered without error.
answers() { # SERVER
    case $1 in
        kafka*) [[ $(ask "$1" '\0\0\0\x0a\0\x12\0\0\0\0\0\x2a\xff\xff' 10) == ????????0000002a0000 ]] ;;
        *) [[ $(ask "$1" '\x04\0\0\0\x05\0\0\0\0' 5) == 84??????06 ]] ;;
    esac
}

# Kafka answers before its broker can be used: the metadata must list that, too.
# With --auth, the first login exists a moment after Cassandra's port is open.
healthy() { # SERVER
    answers "$1" || return 1
    if [[ $1 == kafka* ]]; then
        (($(brokers_known_to "$1") > 0))
    elif [[ ${setting[auth]} == yes && $1 == cassandra-1 && -d $dir/$1/logs && ! -f $dir/$1/has-login ]]; then
        grep -qsF "Created default superuser role" "$dir/$1/logs/server.log" && : >"$dir/$1/has-login"
    fi
}

brokers_known_to() { # SERVER
    local answer
    answer=$(ask "$1" '\0\0\0\x0e\0\x03\0\x01\0\0\0\x2b\xff\xff\0\0\0\0' 12)
    if [[ $answer == ????????0000002b* ]]; then say $((16#${answer:16})); else say 0; fi
}

# Does a broker know all the others? Does a node see all the others up and joined, by what it has said since it was started?
sees_all() { # SERVER
    if [[ $1 == kafka* ]]; then
        (($(brokers_known_to "$1") == setting[brokers]))
        return
    fi
    awk -v others=$((setting[nodes] - 1)) '
        function after(word, f) { for (f = 1; f < NF; f++) if ($f == word) return $(f + 1) }
        / InetAddress .* is now (UP|DOWN)/ { up[after("InetAddress")] = / UP/ }
        / Node .* state NORMAL,/ { joined[after("Node")] = 1 }
        / FatClient .* removing/ { delete up[after("FatClient")] }
        END { for (node in up) seen += up[node] && joined[node]; exit seen + 0 != others }
    ' "$dir/$1/logs/out.log"
}

fail() { # SERVER PROBLEM
    {
        say "--- end of $dir/$1/logs/server.log, and of out.log beside it"
        tail -qn 20 "$dir/$1/logs/server.log" 2>/dev/null || true
        say "---"
        tail -qn 5 "$dir/$1/logs/out.log" 2>/dev/null || true
    } >&2
    die "$1 $2"
}

wait_until() { # SERVER WHAT COMMAND
    local deadline=$((SECONDS + START_TIMEOUT))
    until "$3" "$1"; do
        alive "$1" || fail "$1" "ended before it was $2"
        ((SECONDS < deadline)) || fail "$1" "is not $2 after $START_TIMEOUT s (still running, pid $pid)"
        sleep 0.3
    done
}

# Is SERVER running? One that does not answer may be about to, or just have been
# killed and about to be gone: this waits for either.
running() { # SERVER
    local deadline=$((SECONDS + START_TIMEOUT))
    while alive "$1" && ! healthy "$1"; do
        ((SECONDS < deadline)) || fail "$1" "runs (pid $pid) but does not answer"
        sleep 0.3
    done
    alive "$1"
}
