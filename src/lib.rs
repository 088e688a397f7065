//! outrigger: a sidecar proxy.
//!
//! # The life of a request, and the room of each step
//!
//! 1. [`cli`] reads the command line, [`config`] the files; whatever is wrong with them is a report that shows
//!    every problem at its place. [`app`] builds everything once; [`app::reload`] builds the next [`app::snapshot`] when
//!    [`watch`] says that a file has changed, or keeps the old one.
//! 2. Each [`app::worker`] (as many as [`process`] says) is a thread with a runtime, listening sockets and upstream
//!    connections of its own. A [`listener`] accepts there, and hands the connection, an [`net::io::Io`] and what is
//!    known of its [`http::peer`], to [`proxy`].
//!    Over [`tls`] the stream is encrypted, and the peer may have an identity.
//! 3. [`proxy`] finds out what the caller speaks. Our own [`codec`]s of HTTP/1.1 and HTTP/2 make a
//!    [`http::message::Request`] with [`http::headers`] as they arrived and a [`http::body`] that is read when somebody
//!    polls for it, into a [`net::buffer`] that is held no longer than that, or moved through a [`net::pipe`]. What they
//!    write waits in a [`net::write_queue`].
//! 4. Its path is normalised and a [`route`] chosen among those that serve now ([`proxy::serving`], which the snapshot
//!    has made). The route stays with the request to the end of its body, whatever is reloaded meanwhile.
//! 5. The route's [`policy`] stack takes the request down and the answer up. At its bottom stands the [`target`]:
//!    an answer made here, the files of a directory, an [`upstream`], a [`broker`] that is given the request as a message,
//!    or a [`database`] that runs a statement with values of the request.
//!    A policy that needs a token or keys of another server has [`fetch`] get them, in the background.
//! 6. The upstream admits the request, picks an endpoint, borrows a connection from its pool, and sends. Its endpoints
//!    are found by name ([`net::resolve`]), checked, left out while they fail, and balanced, whatever is spoken to
//!    them: what speaks is their transport. The pick begins the record of an attempt, by which everybody goes who keeps
//!    account of endpoints. It rides in the answer's body as a guard, as all does that must last as long as the
//!    exchange.
//!    A request that is recorded has a span of its [`trace`] for itself, which ends with its answer, and one for each
//!    attempt. What it says to those below is [`http::trace_heads`]; [`telemetry::traces`] sends what has ended.
//! 7. An [`http::error::Error`] on the way becomes an answer in one place, and every request, however it ends, is
//!    counted and logged by [`telemetry`] when its body has ended.
//!
//! Messages go the other way round. A [`subscription`] takes them from a [`broker`], has each enter a route as a request,
//! on a worker and past the listeners, and by the answer tells the broker what becomes of it. Brokers are spoken to on a thread of
//! their own, which is there once one is configured.
//!
//! A request may also enter a route by its name, made of a document that is posted to a listener with
//! [`proxy::integrations`].
//!
//! A [`relay`] publishes rows of a table in the application's own [`database`], each at least once.
//!
//! What would become of a request is an [`explain::Explanation`]: [`app::explain`] has it pass the search for routes and the stack
//! of its route, laid over a target that only tells, with facts apart from those that serve.
//!
//! [`admin`] shows all this to people and their tools, and has routes and upstreams registered; [`net::drain`] ends it without losing a request.
//!
//! [`value`] is what config blocks are written with and how their checks speak,
//! [`net::timer`] holds time limits that cost nothing until they matter; by an [`http::exchange::Exchange`] whoever ends
//! something tells it why, and learns where it had got to.
//!
//! # What never happens
//!
//! - Rooms have no circle: `tests/it/layering.rs` lists what each may import, and what it may not reach by way of others.
//!   Nor do files: `tests/it/circles.rs` lets two of one room need each other, and no three.
//! - No room but `cli` and `app` imports `config`: each owns its TOML block.
//! - A policy knows request, response, error, peer and its own block; no route, upstream, listener or snapshot.
//! - No other room names a single policy: what one has to know of them is told by [`policy::table::Summary`].
//! - `listener`, `policy` and `upstream` do not know each other.
//! - What is confirmed to a publisher is stored, and what is taken from a broker is there until its delivery was settled.
//! - A target looks up no names when it serves: it holds its upstreams. A route only chooses.
//! - No lock and no snapshot is held across an `.await`, and every task that is spawned has an owner that ends it.
//! - A guard ends with the body, not with the head.
//! - No file is opened while a config is read or checked, and none can serve whose files were not opened: what serves takes
//!   a block together with what was opened of it.
//! - Test switches do not exist in what ships; dependencies come in by constructor.
//!
//! # Working on it
//!
//! `tests/run` installs what the tests need and runs them all; `.ci/run` is everything that must hold before a
//! change lands. Unit tests stand beside the code, with a paused clock where time matters; `tests/it` runs the real
//! program over real sockets. Where threads meet at atomics, a file `races.rs` has `loom` try every order, as part of the
//! same tests. `config/outrigger.toml` shows every key, and a test fails when one is missing there.
//!
//! A metric is a `const` [`value::exposition::Metric`], its name and its help, in the file that counts it; the room's
//! `METRICS` lists it, and `promtool` is asked about all of them.
//!
//! ## A new kind of target
//!
//! `target/respond.rs` is one to begin with, and `target/tests/added.rs` one that is added, with its tests.
//!
//! 1. Its own file, `target/count.rs` say, has
//!    - `pub struct Config`: its block. It derives `Clone, Debug, Deserialize, Serialize, PartialEq`, denies unknown
//!      fields, and takes its types from [`value`]. A target without options has an empty one, and is written
//!      `count = {}`; an option has `#[serde(default = "...")]`, and the name that others have for the same thing.
//!    - `impl` [`target::Block`] `for Config`: `check` reports what is wrong with the block, as
//!      `problems.error(&["key"], "what is wrong").help("how to mend it")`, and `build` makes what answers. The other
//!      methods have defaults that fit a target which answers here.
//!    - a type with `impl` [`http::handler::Handler`]: `call` takes an [`http::message::Request`], whose headers are
//!      bytes as they came, a line each, and gives the answer's head. A body is read frame by frame with
//!      `http_body_util::BodyExt`, and no more of it than the block allows; its `size_hint` tells whether it announces
//!      itself as too large. Whatever fails in reading it is returned as it is; a refusal of the target's own is an
//!      [`http::error::Error`] with a `const` [`http::error::Reason`], by whose name callers, logs and metrics know it:
//!      the name that others have for the same, as `body_too_large`. A reason for which a server behind it is to blame
//!      says so with its [`http::fault::Fault`], and circuit breakers and retries take it as that. The future is boxed:
//!      what waits for nothing boxes `std::future::ready`.
//!    - its unit tests, with `testing::request` and `testing::next`; a body in pieces is a `Body::stream` of a
//!      `StreamBody`, as in the tests of [`http::body`]. `src/config/problems.txt` takes a case for each message, with
//!      its place.
//! 2. Its lines in `target/mod.rs`: `mod count;` and, in the list, `count: count::Config,` below a comment of one sentence.
//! 3. An example with every key in `config/outrigger.toml`, as a route of its own behind the one of `redirect`; a test
//!    names the keys that are missing. Nothing else has to name it.
//!
//! Checks, `outrigger check`, reloads and `GET /routes` follow from the list. A target that answers here lacks only the
//! policies that are there by default: what the route asks for, `credentials` among it, acts on what it is given. What
//! needs endpoints of its own, as a database or a broker does, has an implementation of
//! `upstream::endpoints::transport::Transport`, with which discovery, health checks and
//! `upstream::balance::picker::Picker` work as they are: `upstream/endpoints/tests.rs` shows it.
//!
//! ## A new kind of broker
//!
//! A folder `broker/KIND/` with an implementation of [`broker::Client`], its blocks (`config.rs`), and its lines in
//! `broker/{config,connect,kind,place,url}.rs`; the words of its keys in `target/publish/address.rs` and
//! `subscription/config.rs`; a cargo feature. `tests/it/nats` shows what one has to prove against a real server.
//!
//! ## A new kind of database
//!
//! A server is a folder `database/KIND/` that writes its protocol: an implementation of `Protocol` and `Connection` of
//! `database/server/protocol.rs`, which log in, run statements, write their rows with what `database/json.rs` has, say what an error
//! means, and have the server stop. Its lines are in `database/{connect,kind,scan,url}.rs`, and it has a cargo feature. The pool,
//! transactions and when they are tried again, sessions, what is cancelled, and what is known of a database that is down are there for
//! all servers; `database/server/tests.rs` has one in memory. What is no server, as SQLite, implements [`database::Client`] itself.
//! `tests/it/sql` and `tests/it/sqlite` show what one has to prove.
//!
//! ## A new policy
//!
//! Its own file, its line in [`policy`], whose text says how to add one, and an example in `config/outrigger.toml`.
#![deny(unsafe_code)]

pub mod admin;
pub mod app;
pub mod broker;
pub mod cli;
pub mod codec;
pub mod config;
pub mod database;
pub mod explain;
pub mod fetch;
pub mod http;
pub mod listener;
pub mod net;
pub mod policy;
pub mod process;
pub mod proxy;
pub mod relay;
pub mod route;
pub mod subscription;
pub mod target;
pub mod tcp;
pub mod telemetry;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod trace;
pub mod upstream;
pub mod value;
pub mod watch;
