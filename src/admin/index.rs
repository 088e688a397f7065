//! The whole API on one page of text, for whoever asks with curl.

use super::router::{order_kinds, order_path};

/// What there is, for people.
pub(super) fn text() -> String {
    let orders = order_kinds().map(|kind| {
        let path = order_path(kind);
        format!("PUT  {path}   {}\n", kind.body)
    });
    let orders: String = orders.collect();
    format!(
        "\
outrigger's admin API

GET  /livez             is the process up?
GET  /readyz            should it get traffic?
GET  /metrics           in Prometheus's text format, or in OpenMetrics
GET  /stats             how everything is doing, in one answer; counts only grow
GET  /config            the effective configuration
GET  /config/places     where each of its keys stands in the files
GET  /certs             every certificate that is used, what expires next first
GET  /listeners         where callers connect
GET  /routes            what is matched, and where it goes
GET  /routes/{{name}}
GET  /routes/{{name}}/health   whether what answers it is there
GET  /routes/{{name}}/stats    requests, times, and what failed last
{orders}PUT  /routes/{{name}}      register it, in TOML or JSON; DELETE takes it out again
GET  /requests          what failed or took long, and why: ?route=&reason=&slow=true&limit=100
GET  /requests/{{request_id}}
GET  /upstreams         who answers, and how they do
GET  /upstreams/{{name}}
PUT  /upstreams/{{name}}   register it, in TOML or JSON; DELETE takes it out again
GET  /brokers           what carries messages, and whether it is there
GET  /databases         where statements are run, and its connections
GET  /subscriptions     who takes messages, and what became of them
GET  /subscriptions/{{name}}
POST /subscriptions/{{name}}/pause    take no more messages; /resume takes them again
GET  /subscriptions/{{name}}/dead-letters?limit=10&bytes=0   what could not be delivered
POST /subscriptions/{{name}}/dead-letters/replay?limit=10    deliver it anew
DELETE /subscriptions/{{name}}/dead-letters?limit=10         delete it
GET  /relays            who publishes rows of a table, and what became of them
GET  /relays/{{name}}
POST /relays/{{name}}/pause    take no more rows; /resume takes them again
POST /diff              what another config would change
POST /explain           what would become of a request: {{\"method\", \"url\", \"headers\"}}
GET  /reloads           what the newest reloads changed, or why they were refused
POST /reload            read the configuration again
GET  /log-level         the level of the log that holds now
PUT  /log-level         off, error, warn, info or debug
POST /drain             fail readiness and let requests finish
POST /quit              drain, then end
"
    )
}
