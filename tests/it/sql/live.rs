//! `outrigger check --live`, which has the database itself look at the statements.

use super::table;
use crate::databases::Checked;
use crate::support::PostgresServer;

#[test]
fn the_database_says_what_it_thinks_of_statements() {
    let table = table("id int4 primary key, name text, at timestamptz, mood char(3)");
    let good = format!(
        "statement = \"select id, name from {table} where id = $1 and name = $2 and id = any($3)\"\nparameters = [\
         {{ from = \"query.a\", type = \"int4\" }}, {{ from = \"query.b\" }}, {{ from = \"query.c\", type = \"int4[]\" }}]"
    );
    let inferred = format!(
        "statement = \"select now() - $1 as age, $2::text as b from {table} where mood = $3\"\nparameters = [\
         {{ from = \"query.a\", type = \"interval\" }}, {{ from = \"query.b\" }}, {{ from = \"query.c\", type = \"inferred\" }}]"
    );
    let refused = "statement = \"select hush from nowhere_at_all\"";
    let mixed = format!(
        "statement = \"select id from {table} where name = $1\"\nparameters = [{{ from = \"query.a\", type = \"int8\" }}]"
    );
    let twice = "statement = \"select 1 as a, 2 as a\"";
    let rowless = format!("statement = \"delete from {table}\"\nresult = \"one\"");
    let several = format!(
        "statements = [\"update {table} set name = $1\", \"select nothing from {table}\"]\nparameters = [{{ from = \"query.a\" }}]"
    );
    let url = PostgresServer::shared().url();
    let of = |blocks: &[&str]| Checked::of(&url, blocks);
    let checked = of(&[&good]);
    checked.assert_code(0);
    let said = &checked.said;
    assert!(
        said.contains("is good") && !said.contains("warning: $"),
        "{said}"
    );
    let checked = of(&[&inferred]);
    checked.assert_code(0);
    let said = &checked.said;
    assert!(said.contains("$1 is declared as `interval`"), "{said}");
    assert!(said.contains("take it for `timestamptz`"), "{said}");
    assert!(!said.contains("$2 is") && !said.contains("$3 is"), "{said}");
    let checked = of(&[&good, refused, &mixed, twice, &rowless, &several]);
    checked.assert_code(2);
    let said = &checked.said;
    checked.assert_says(&[
        "\"nowhere_at_all\" does not exist (SQLSTATE 42P01, at character 18)",
        "operator does not exist: text = bigint (SQLSTATE 42883",
        "two columns of the result are called `a`",
        "the statement gives no rows",
        "column \"nothing\" does not exist (SQLSTATE 42703, at character 8)",
    ]);
    assert!(!said.contains("secret@"), "{said}");
    // Nothing of it was run.
    let count = PostgresServer::shared().sql(&format!("select count(*) from {table}"));
    assert_eq!(count, "0");
}
