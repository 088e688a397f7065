//! Transparent listeners, in network namespaces with connections that the kernel redirects.

use std::process::Command;

use crate::support::pod::{AFAR, POD, Pod};

use crate::support::{LIMIT, Launch, Process, Proxy, eventually};

/// Who sends in the pod. The proxy is root.
const APP: u32 = 1000;

const CONFIG: &str = r#"
    [listeners.out]
    listen = "[::]:15001"
    transparent = true
    [listeners.in]
    listen = "[::]:15006"
    transparent = true
    [routes.named]
    match = { host = "named.example" }
    listener = "out"
    respond = { body = "named" }
    [routes.out]
    listener = "out"
    upstream = "original-destination"
    response = { set_headers = { x-by = "out" } }
    [routes.in]
    listener = "in"
    upstream = "original-destination"
    response = { set_headers = { x-by = "in" } }
"#;

#[test]
fn requests_go_where_their_callers_wanted_with_the_policies_of_their_route() {
    let Some(pod) = Pod::new() else { return };
    let mut proxy = Launch::new(CONFIG).by_shell(pod.shell()).start();
    let answers = |port: u16, word: &str, shell: String| {
        let text = format!(
            "[listeners.a]\nlisten = \"[::]:{port}\"\n[routes.a]\nrespond = {{ body = \"{word}\" }}\n"
        );
        Launch::new(text).by_shell(shell).one_worker().start()
    };
    let _app = answers(9090, "app", pod.shell());
    let _afar = answers(8080, "afar", pod.shell_afar());
    let install = "install --outbound-port 15001 --proxy-uid 0 --inbound-port 15006";
    let (code, shown) = pod.redirect(install);
    assert_eq!(code, Some(0), "{shown}");

    let there_and_back = |pod: &Pod| {
        for remote in &AFAR[..2] {
            let sent = head(pod, &format!("http://{remote}:8080/"), "x");
            assert!(sent.starts_with("HTTP/1.1 200"), "{remote}: {sent}");
            assert!(sent.contains("x-by: out"), "{remote}: {sent}");
            assert!(sent.ends_with("afar"), "{remote}: {sent}");
        }
        for own in &POD[..2] {
            assert_eq!(pod.get_afar(&format!("http://{own}:9090/")), "app");
        }
    };
    there_and_back(&pod);
    assert!(destinations(&proxy).contains("198.18.77.2:8080"));

    // A route by host takes what it names, wherever that was sent.
    let sent = head(&pod, &format!("http://{}:1/", AFAR[0]), "named.example");
    assert!(sent.ends_with("named"), "{sent}");

    // Where nobody listens, that is what the caller learns.
    let sent = head(&pod, &format!("http://{}:1/", AFAR[0]), "x");
    assert!(sent.contains("connect_failed"), "{sent}");

    // To the listener itself.
    for own in ["127.0.0.1", "[::1]", POD[0]] {
        let sent = head(&pod, &format!("http://{own}:15001/"), "x");
        assert!(sent.starts_with("HTTP/1.1 421"), "{own}: {sent}");
        assert!(sent.contains("not_redirected"), "{own}: {sent}");
    }

    // From elsewhere to another listener of the proxy, which the kernel sends to the inbound one.
    for own in &POD[..2] {
        let refused = pod.get_afar(&format!("http://{own}:15001/"));
        assert!(refused.contains("loop_detected"), "{own}: {refused}");
    }

    proxy.reload_with(CONFIG.replace("named\" }", "named again\" }"));
    there_and_back(&pod);
    let sent = head(&pod, &format!("http://{}:1/", AFAR[0]), "named.example");
    assert!(sent.ends_with("named again"), "{sent}");

    eventually(
        LIMIT,
        "destinations without connections are forgotten",
        || !destinations(&proxy).contains("198.18.77.2:8080"),
    );
}

#[test]
fn a_request_that_comes_back_is_refused_at_once() {
    let Some(pod) = Pod::new() else { return };
    let config = format!(
        "{CONFIG}[upstreams.afar]\nendpoints = [\"{}:8080\"]\n\
         [routes.by-name]\nmatch = {{ host = \"afar.example\" }}\nlistener = \"out\"\nupstream = \"afar\"\n",
        AFAR[0]
    );
    let proxy = Launch::new(config).by_shell(pod.shell()).start();
    // The proxy is root, and somebody else is excluded.
    let (code, shown) = pod.redirect("install --outbound-port 15001 --proxy-uid 4242");
    assert_eq!(code, Some(0), "{shown}");
    let looped = |route| {
        let labels = [("route", route), ("reason", "loop_detected")];
        proxy.metrics().sum("outrigger_refused_total", &labels)
    };
    for (host, remote) in [("x", AFAR[0]), ("x", AFAR[1]), ("afar.example", AFAR[0])] {
        let before = looped("none");
        let sent = head(&pod, &format!("http://{remote}:8080/"), host);
        assert!(sent.starts_with("HTTP/1.1 508"), "{remote}: {sent}");
        assert!(sent.contains("\"reason\":\"loop_detected\""), "{sent}");
        eventually(LIMIT, "it has come back once", || {
            looped("none") == before + 1.0
        });
    }
    let log = proxy.log();
    assert!(log.contains("exclude its user"), "{log}");
}

#[test]
fn what_is_not_http_goes_by_its_routes_or_as_it_is() {
    let Some(pod) = Pod::new() else { return };
    let config = CONFIG.replacen(
        "transparent = true",
        "transparent = true\npass_through = {}",
        1,
    );
    let config = config + ROUTES;
    let proxy = Launch::new(config).by_shell(pod.shell()).start();
    let _afar = Process::spawn(Command::new("sh").args([
        "-c",
        &pod.shell_afar(),
        "/usr/bin/python3",
        "-c",
        SPEAKS_FIRST,
    ]));
    let (code, shown) = pod.redirect("install --outbound-port 15001 --proxy-uid 0");
    assert_eq!(code, Some(0), "{shown}");
    for remote in &AFAR[..2] {
        let mut said = String::new();
        eventually(LIMIT, "the server is there", || {
            said = converse(&pod, APP, remote.trim_matches(['[', ']']));
            !said.contains("refused") && !said.is_empty()
        });
        assert_eq!(said, "220 ready\nyou said quit\n");
    }
    let passed_by = |route, result| {
        let labels = [("listener", "out"), ("route", route), ("result", result)];
        proxy
            .metrics()
            .sum("outrigger_passed_through_connections_total", &labels)
    };
    assert!(passed_by("none", "ok") >= 1.0, "to the one by IPv6");
    assert!(passed_by("mail", "ok") >= 1.0, "to the one by IPv4");
    let endpoints = proxy.admin("GET", "/upstreams/mail", "").text();
    assert!(endpoints.contains("198.18.77.3:2525"), "{endpoints}");

    // By the name that TLS asks for, wherever it was sent.
    for (name, said) in [("a.never.example", ""), ("other.example", "220 ready\n")] {
        assert_eq!(ask_for(&pod, name, AFAR[1]), said, "{name}");
    }
    eventually(LIMIT, "the refusal is counted", || {
        passed_by("never", "refused") == 1.0
    });
    let passed = |result| {
        let labels = [("listener", "out"), ("result", result)];
        proxy
            .metrics()
            .sum("outrigger_passed_through_connections_total", &labels)
    };

    // Where the proxy's own user is not excluded, it would pass on to itself for ever.
    let (code, shown) = pod.redirect("install --outbound-port 15001 --proxy-uid 4242");
    assert_eq!(code, Some(0), "{shown}");
    for (count, remote) in [(1.0, AFAR[0]), (2.0, "fd77::2")] {
        assert_eq!(converse(&pod, APP, remote), "");
        eventually(LIMIT, "the loop is seen", || {
            passed("loop_detected") == count
        });
    }
}

/// One by destination, whose endpoint is another address of the machine, and one by name.
const ROUTES: &str = r#"
    [upstreams.mail]
    endpoints = ["198.18.77.3:2525"]
    [tcp_routes.mail]
    match = { destination = "198.18.77.2/31", port = [25, 2525] }
    upstream = "mail"
    [tcp_routes.never]
    match = { sni = "*.never.example" }
    refuse = true
"#;

/// What somebody is told who begins with TLS for `name`.
fn ask_for(pod: &Pod, name: &str, address: &str) -> String {
    let address = address.trim_matches(['[', ']']);
    let text = format!(
        "import socket, ssl\nout = ssl.MemoryBIO()\n\
         tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname='{name}')\n\
         try: tls.do_handshake()\nexcept ssl.SSLWantReadError: pass\n\
         server = socket.create_connection(('{address}', 2525), 5)\n\
         server.sendall(out.read())\n\
         try: print(server.recv(10).decode(), end='')\nexcept ConnectionError: pass"
    );
    let output = pod.run(APP, &["/usr/bin/python3", "-c", &text]);
    let texts = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    texts.concat()
}

/// A server that speaks first, on port 2525 of both versions of IP.
const SPEAKS_FIRST: &str = r#"
import socket
server = socket.create_server(("::", 2525), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    caller = server.accept()[0]
    caller.sendall(b"220 ready\n")
    caller.sendall(b"you said " + caller.recv(100))
    caller.close()
"#;

/// What a caller of it is told until it is over.
fn converse(pod: &Pod, uid: u32, address: &str) -> String {
    let text = format!(
        "import socket\nserver = socket.create_connection(('{address}', 2525), 5)\n\
         told = server.recv(100)\nif told: server.sendall(b'quit\\n')\n\
         while told: print(told.decode(), end=''); told = server.recv(100)"
    );
    let output = pod.run(uid, &["/usr/bin/python3", "-c", &text]);
    let texts = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    texts.concat()
}

fn head(pod: &Pod, url: &str, host: &str) -> String {
    let host = format!("host: {host}");
    let line = [
        "curl",
        "-si",
        "-g",
        "-m5",
        "--noproxy",
        "*",
        "-H",
        &host,
        url,
    ];
    String::from_utf8_lossy(&pod.run(APP, &line).stdout).into_owned()
}

/// The endpoints of original destinations, as the admin API shows them.
fn destinations(proxy: &Proxy) -> String {
    proxy
        .admin("GET", "/upstreams/original-destination", "")
        .text()
}
