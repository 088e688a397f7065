#!/bin/bash
# MariaDB 10.11.19: in a session with `innodb_lock_wait_timeout = 0`, in which nobody waits for a lock, `select ... for update skip
# locked` does not skip a row that is locked. The statement ends with error 1180, "Operation not permitted", "during COMMIT", though
# nothing is committed. With a limit of one second it skips the row at once, without a wait; `nowait` and no word at all are both
# answered with error 1205, with either limit. One would guess that a clause by which nothing is ever waited for does not depend on
# how long to wait, or that 0 is where it is needed least. Whoever takes jobs from a table so, with a limit of 0 set for the whole
# server, sees an error that names neither a lock nor the clause.
set -euo pipefail

version=1:10.11.19-0+deb12u1
work=$(mktemp -d)
end() {
    if [[ -n ${server:-} ]]; then
        kill "$server" 2>/dev/null && wait "$server" || true
    fi
    rm -rf "$work"
}
trap end EXIT
cd "$work"
apt-get download -qq "mariadb-server-core=$version" "mariadb-client-core=$version" libaio1 libnuma1 liburing2 2>/dev/null
for package in *.deb; do
    dpkg-deb --extract "$package" root
done
export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu:$work/root/lib/x86_64-linux-gnu
export PATH=$work/root/usr/bin:$work/root/usr/sbin:$PATH

mariadb-install-db --no-defaults --user="$(id -un)" --basedir="$work/root/usr" --datadir="$work/data" \
    --auth-root-authentication-method=normal --skip-test-db >install.log 2>&1
mariadbd --no-defaults --user="$(id -un)" --basedir="$work/root/usr" --datadir="$work/data" --skip-networking \
    --socket="$work/socket" --pid-file="$work/pid" >server.log 2>&1 &
server=$!
client() {
    mariadb --no-defaults --user=root --socket="$work/socket" --batch --skip-column-names "$@"
}
for ((look = 0; look < 300; look++)); do
    client --execute="select 1" &>/dev/null && break
    sleep 0.1
done

client --execute="create database jobs; create table jobs.jobs (id int primary key); insert into jobs.jobs values (1), (2)"
# Somebody has the first one, until told to go.
mkfifo told
client jobs <told >taken &
exec 3>told
echo "begin; select id from jobs where id = 1 for update;" >&3
locks() {
    client --execute="select count(*) from information_schema.innodb_trx where trx_rows_locked > 0"
}
for ((look = 0; look < 300; look++)); do
    [[ $(locks) == 1 ]] && break
    sleep 0.1
done

ask() {
    local said
    said=$(client jobs --execute="set innodb_lock_wait_timeout = $1; begin; select id from jobs $2; rollback" 2>&1) || true
    # The ids, or the error's number and words.
    echo "$1 s, $2: $(tail -n 1 <<<"$said" | sed 's/ (HY000) at line 1//')"
}
seen=$(
    ask 1 "for update skip locked"
    ask 0 "for update skip locked"
    ask 0 "for update nowait"
    ask 0 "for update"
)
expected='1 s, for update skip locked: 2
0 s, for update skip locked: ERROR 1180: Got error 1 "Operation not permitted" during COMMIT
0 s, for update nowait: ERROR 1205: Lock wait timeout exceeded; try restarting transaction
0 s, for update: ERROR 1205: Lock wait timeout exceeded; try restarting transaction'
echo "$seen"
exec 3>&-
[[ $seen == "$expected" ]] || { echo "it is otherwise now" >&2; exit 1; }
