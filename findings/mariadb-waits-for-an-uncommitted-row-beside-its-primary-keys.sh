#!/bin/bash
# MariaDB 10.11.19, InnoDB, `read committed`: a `delete`, an `update` or a `select ... for update` that names its rows by their primary
# keys, `where id in (1, 2, ..., 100)`, waits for a row that somebody else is inserting and that is none of these, and fails with error
# 1205 when that takes too long. With 80 keys it does not. From some share of the table on (here 520 rows) the list of keys is no
# range any more: the whole table is read, each row is locked before it is looked at, and `force index (primary)` changes nothing.
# The same keys from a `json_table` that the table is joined to are looked up one by one, and nobody is waited for. One would guess
# that a primary key is used as long as it is named, and that `read committed` locks what a statement changes.
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

client --execute="create database jobs; create table jobs.jobs (id int primary key auto_increment, what varchar(40) not null);
insert into jobs.jobs (what) select repeat('x', 40) from (with recursive n as (select 1 as i union all select i + 1 from n where i < 520) select i from n) n;
analyze table jobs.jobs" >/dev/null
# Somebody inserts one, and does not commit until told to.
mkfifo told
client jobs <told >/dev/null &
exec 3>told
echo "begin; insert into jobs (what) values ('new');" >&3
waiting() {
    client --execute="select count(*) from information_schema.innodb_trx where trx_rows_modified > 0"
}
for ((look = 0; look < 300; look++)); do
    [[ $(waiting) == 1 ]] && break
    sleep 0.1
done

ask() {
    local said
    said=$(client jobs --execute="set session transaction isolation level read committed; set innodb_lock_wait_timeout = 1; begin; $2; select 'done'; rollback" 2>&1) || true
    echo "$1: $(tail -n 1 <<<"$said" | sed 's/ (HY000) at line 1//; s/;.*//')"
}
few=$(seq --separator=, 80)
many=$(seq --separator=, 100)
seen=$(
    ask "delete, 80 keys" "delete from jobs where id in ($few)"
    ask "delete, 100 keys" "delete from jobs where id in ($many)"
    ask "delete, 100 keys, told the index" "delete jobs from jobs force index (primary) where id in ($many)"
    ask "lock, 100 keys" "select count(*) from (select id from jobs where id in ($many) for update) j"
    ask "delete, 100 keys, joined" "delete jobs from json_table('[$many]', '\$[*]' columns (wanted int path '\$')) w straight_join jobs on id = wanted"
)
expected='delete, 80 keys: done
delete, 100 keys: ERROR 1205: Lock wait timeout exceeded
delete, 100 keys, told the index: ERROR 1205: Lock wait timeout exceeded
lock, 100 keys: ERROR 1205: Lock wait timeout exceeded
delete, 100 keys, joined: done'
echo "$seen"
exec 3>&-
[[ $seen == "$expected" ]] || { echo "it is otherwise now" >&2; exit 1; }
