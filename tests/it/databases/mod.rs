//! What holds of every kind of database alike, run against each of them. What one kind has for itself stands in `sql` and `sqlite`.

/// Runs each of these cases, functions of a [`Kind`](kinds::Kind), on each kind of database.
macro_rules! on_every_kind {
    ($($case:ident),+ $(,)?) => {
        on_servers!($($case),+);

        #[cfg(feature = "sqlite")]
        mod sqlite {
            $(#[test]
            fn $case() {
                super::$case(&<crate::databases::kinds::Sqlite as crate::databases::kinds::Kind>::new());
            })+
        }
    };
}

/// On each kind that is a server.
macro_rules! on_servers {
    ($($case:ident),+ $(,)?) => {
        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[test]
            fn $case() {
                super::$case(&<crate::databases::kinds::Postgres as crate::databases::kinds::Kind>::new());
            })+
        }

        #[cfg(feature = "mysql")]
        mod mariadb {
            $(#[test]
            fn $case() {
                super::$case(&<crate::databases::kinds::MariaDb as crate::databases::kinds::Kind>::new());
            })+
        }
    };
}

mod connections;
mod failures;
mod kinds;
mod live;
mod parameters;
mod results;

pub use failures::assert_refusals;
pub use live::Checked;

use serde_json::Value;

use crate::support::{Proxy, Response};

/// A config with the database `main`, and a route for each path.
pub fn config(url: &str, database: &str, routes: &[(&str, &str)]) -> String {
    let mut text = format!(
        "[listeners.main]\nlisten = \"127.0.0.1:0\"\n[databases.main]\nurl = {{ value = {url:?} }}\n{database}\n"
    );
    for (number, (path, block)) in routes.iter().enumerate() {
        text.push_str(&format!(
            "[routes.r{number}]\nmatch.path = {path:?}\n[routes.r{number}.sql]\ndatabase = \"main\"\n{block}\n"
        ));
    }
    text
}

pub fn get(proxy: &Proxy, target: &str) -> Response {
    proxy.client().request("GET", target, &[], "")
}

pub fn post(proxy: &Proxy, target: &str, body: &str) -> Response {
    let fields = [("content-type", "application/json")];
    proxy.client().request("POST", target, &fields, body)
}

/// What `GET /databases` tells of the one that there is.
pub fn state(proxy: &Proxy) -> Value {
    proxy.admin("GET", "/databases", "").json()[0].clone()
}
