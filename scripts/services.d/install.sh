# shellcheck shell=bash disable=SC2154
# Part of scripts/services: sees to it that Java 17, Maven and the jars are there.

is_java_17() { [[ -x $1/bin/java && $("$1/bin/java" -version 2>&1) =~ version\ \"17[.\"] ]]; } # HOME

# Sets `java_home`. Cassandra 5 runs on 11 and 17; newer ones than that may be first in the path.
find_java() {
    local in_path home
    in_path=$(readlink -f "$(command -v java)") || in_path=
    for home in "${TRIBUTARY_JAVA_HOME:-}" "${JAVA_HOME:-}" "${in_path%/bin/java}" /usr/lib/jvm/*; do
        if [[ $home ]] && is_java_17 "$home"; then java_home=$home && return; fi
    done
    return 1
}

need_tools() { # for the servers in `launched`
    local missing=() server log=$cache/apt.log
    ((${#launched[@]})) || return 0
    find_java || missing+=(openjdk-17-jre-headless)
    [[ ${setting[tls]} != yes ]] || command -v openssl >/dev/null || missing+=(openssl)
    for server in "${launched[@]}"; do
        if [[ ! -d $(jars "$server") ]] && ! command -v mvn >/dev/null; then missing+=(maven) && break; fi
    done
    ((${#missing[@]})) || return 0
    if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
        die "missing: ${missing[*]}. As root: apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    fi
    say "installing ${missing[*]}"
    apt-get update >"$log" 2>&1 </dev/null || true # one bad source among good ones is not the end
    if ! DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1 </dev/null; then
        tail -n 15 "$log" >&2
        die "could not install ${missing[*]} (TRIBUTARY_JAVA_HOME can name a Java 17)"
    fi
    find_java || die "still no Java 17 after installing ${missing[*]}"
}

# The certificates of an instance with --tls: a CA, a node that is known as localhost only, and a client.
need_certificates() {
    local name folder=$dir/tls
    [[ ! -f $folder/client.pem ]] || return 0
    rm -rf "$folder"
    mkdir -p -m 700 "$folder"
    if ! {
        openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=CA of $instance" \
            -keyout "$folder/ca.key" -out "$folder/ca.pem"
        for name in node client; do
            openssl req -new -newkey rsa:2048 -nodes -subj "/CN=$name" -keyout "$folder/$name.key" -out "$folder/$name.csr"
            openssl x509 -req -days 30 -in "$folder/$name.csr" -CA "$folder/ca.pem" -CAkey "$folder/ca.key" -CAcreateserial \
                -extfile <(printf 'subjectAltName=DNS:%s\n' "${name/#node/localhost}") -out "$folder/$name.crt"
        done
    } >"$folder/openssl.log" 2>&1 </dev/null; then
        tail -n 15 "$folder/openssl.log" >&2
        die "the certificates could not be made"
    fi
    cat "$folder/node.key" "$folder/node.crt" >"$folder/node.pem"
    mv "$folder/client.crt" "$folder/client.pem" # last: what is there is complete
}

need_jars() { # SERVER
    local target tmp attempt log=$cache/jars/mvn.log
    target=$(jars "$1")
    [[ ! -d $target ]] || return 0
    say "downloading ${target##*/} to $cache/jars"
    mkdir -p "$cache/jars"
    for attempt in 1 2 3; do
        rm -rf "$cache"/jars/incomplete.*
        tmp=$(mktemp -d "$cache/jars/incomplete.XXXXXX")
        cp "$templates/${1%-*}.pom.xml" "$tmp/pom.xml"
        if JAVA_HOME=$java_home mvn -B -U -ntp -f "$tmp/pom.xml" dependency:copy-dependencies \
            -Dcassandra.version="$CASSANDRA_VERSION" -Dkafka.version="$KAFKA_VERSION" -Dlog4j.version="$LOG4J_VERSION" \
            -DincludeScope=runtime -DoutputDirectory="$tmp/lib" >"$log" 2>&1 </dev/null; then
            mv "$tmp/lib" "$target"
            rm -rf "$tmp"
            return
        fi
        say "  attempt $attempt of 3 failed" >&2
        ((attempt == 3)) || sleep $((attempt * 3))
    done
    rm -rf "$tmp"
    grep -F ERROR "$log" | head -n 15 >&2 || true
    die "could not download ${target##*/}; all that Maven said: $log"
}
