//! A statement of a request that is recorded has a span of its own.

use super::{Data, config};
use crate::support::{Collector, Launch};

#[test]
fn a_statement_is_a_span_below_its_request() {
    let data = Data::new("create table orders (id integer primary key, card text);");
    let collector = Collector::start();
    let insert = "statement = \"insert into orders (card) values ($1)\"\nresult = \"none\"\n\
                  parameters = [{ from = \"body./card\" }]";
    let mut text = config(&data.url(), "", &[("/orders", insert)]);
    text.push_str(&format!(
        "[tracing]\nendpoint = \"http://{}\"\nsample_ratio = 1\n",
        collector.address()
    ));
    let launch = Launch::new(text).by_shell("exec env OTEL_BSP_SCHEDULE_DELAY=50 \"$0\" \"$@\"");
    let proxy = launch.start();
    let answer = super::post(&proxy, "/orders", "{\"card\":\"4111\"}");
    assert_eq!(answer.status, 204, "{}", answer.text());
    let spans = collector.after(2);
    let of_kind = |kind| spans.iter().find(|span| span.kind == kind).unwrap();
    let (request, statement) = (of_kind(2), of_kind(3));
    assert_eq!(statement.parent, request.id);
    assert_eq!((&*statement.name, statement.status), ("main r0", 0));
    assert_eq!(statement.attributes["db.system.name"], "sqlite");
    assert!(!format!("{spans:?}").contains("4111"));
}
