//! `outrigger check --live`, which has the database itself look at the statements.

use super::{config, table};
use crate::support::{PostgresServer, check_live as check};

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
    let of = |blocks: &[&str]| {
        let paths: Vec<String> = (0..blocks.len()).map(|n| format!("/{n}")).collect();
        let routes: Vec<(&str, &str)> = paths
            .iter()
            .map(String::as_str)
            .zip(blocks.iter().copied())
            .collect();
        check(&config(&url, "", &routes))
    };
    let (code, said) = of(&[&good]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("is good") && !said.contains("warning: $"),
        "{said}"
    );
    let (code, said) = of(&[&inferred]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("$1 is declared as `interval`"), "{said}");
    assert!(said.contains("take it for `timestamptz`"), "{said}");
    assert!(!said.contains("$2 is") && !said.contains("$3 is"), "{said}");
    let (code, said) = of(&[&good, refused, &mixed, twice, &rowless, &several]);
    assert_eq!(code, Some(2), "{said}");
    for part in [
        "\"nowhere_at_all\" does not exist (SQLSTATE 42P01, at character 18)",
        "operator does not exist: text = bigint (SQLSTATE 42883",
        "two columns of the result are called `a`",
        "the statement gives no rows",
        "column \"nothing\" does not exist (SQLSTATE 42703, at character 8)",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert!(!said.contains("secret@"), "{said}");
    // Nothing of it was run.
    let count = PostgresServer::shared().sql(&format!("select count(*) from {table}"));
    assert_eq!(count, "0");
}

#[test]
fn a_database_that_cannot_be_asked_is_told_once() {
    let url = PostgresServer::shared().url().replace("secret", "wrong");
    let block = "statement = \"select 1 as a\"";
    let (code, said) = check(&config(&url, "", &[("/a", block), ("/b", block)]));
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(said.matches("cannot be asked").count(), 1, "{said}");
    assert!(said.contains("28P01") && !said.contains("wrong@"), "{said}");
}
