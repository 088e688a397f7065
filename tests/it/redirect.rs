//! `outrigger redirect`, in network namespaces with real connections.

use std::process::Command;

use crate::support::pod::{AFAR, POD, Pod};
use crate::support::{Launch, Proxy};

/// Who sends in the pod, and who is excluded. The proxy is root.
const APP: u32 = 1000;
const EXCLUDED: u32 = 4242;

const OPTIONS: &str = "--outbound-port 15001 --proxy-uid 0 --exclude-uids 4242 \
                       --exclude-outbound-cidrs 198.18.77.3 --exclude-outbound-ports 8081 \
                       --inbound-port 15006 --inbound-ports 9090";

#[test]
fn connections_are_redirected_as_the_options_say_in_each_flavour() {
    let Some(pod) = Pod::new() else { return };
    let (_pod, _afar) = (in_pod(&pod), afar(&pod));
    for flavour in flavours() {
        let install = format!("install {OPTIONS} --iptables {flavour}");
        let (code, shown) = pod.redirect(&install);
        assert_eq!(code, Some(0), "{shown}");
        assert!(
            shown.contains("left alone: what user 4242 sends"),
            "{shown}"
        );
        goes_by_the_options(&pod);
        assert_eq!(pod.redirect(&install), (Some(0), shown), "again");
        goes_by_the_options(&pod);
    }

    // The other flavour's have made way for those that were installed last.
    let (_, shown) = pod.redirect("show");
    assert_eq!(shown.matches("IPv4 (").count(), 1, "{shown}");
    assert_eq!(shown.matches("IPv6 (").count(), 1, "{shown}");

    let (code, shown) = pod.redirect("install --outbound-port 15001 --proxy-uid 4242 --no-ipv6");
    assert_eq!(code, Some(0), "{shown}");
    let by = "as by: outrigger redirect install --outbound-port 15001 --proxy-uid 4242\n";
    assert!(shown.ends_with(by), "{shown}");
    let [remote, remote_v6, ..] = AFAR;
    assert_eq!(pod.get(0, &format!("http://{remote}:8081/")), "outbound");
    assert_eq!(pod.get(0, &format!("http://{remote_v6}:8080/")), "afar");
    assert_eq!(pod.get_afar(&format!("http://{}:9090/", POD[0])), "app");

    assert_eq!(pod.redirect("remove"), (Some(0), "removed\n".to_owned()));
    let nothing = (Some(0), "nothing is installed here\n".to_owned());
    assert_eq!(pod.redirect("show"), nothing);
    assert_eq!(pod.redirect("remove"), nothing);
    assert_eq!(pod.get(APP, &format!("http://{remote}:8080/")), "afar");
    for flavour in flavours() {
        for program in [flavour.to_owned(), flavour.replace("ip", "ip6")] {
            let left = pod.run(0, &[&program, "-t", "nat", "-S"]).stdout;
            let left = String::from_utf8_lossy(&left);
            assert!(
                left.lines().all(|line| line.starts_with("-P ")),
                "{program}: {left}"
            );
        }
    }
}

fn goes_by_the_options(pod: &Pod) {
    let [remote, remote_v6, excluded, link_local] = AFAR;
    for (uid, to, answer) in [
        (APP, format!("{remote}:8080"), "outbound"),
        (APP, format!("{remote_v6}:8080"), "outbound"),
        (APP, format!("{link_local}:8080"), "afar"),
        (APP, format!("{remote}:8081"), "afar"),
        (APP, format!("{remote_v6}:8081"), "afar"),
        (APP, format!("{excluded}:8080"), "afar"),
        (EXCLUDED, format!("{remote}:8080"), "afar"),
        (0, format!("{remote}:8080"), "afar"),
        (APP, "127.0.0.1:9090".to_owned(), "app"),
        (APP, "[::1]:9090".to_owned(), "app"),
        (APP, format!("{}:9090", POD[0]), "app"),
    ] {
        let got = pod.get(uid, &format!("http://{to}/"));
        assert_eq!(got, answer, "user {uid} to {to}");
    }
    let [own, own_v6, own_link_local] = POD;
    for (to, answer) in [
        (format!("{own}:9090"), "inbound"),
        (format!("{own_v6}:9090"), "inbound"),
        (format!("{own_link_local}:9090"), "app"),
        (format!("{own}:9091"), "app"),
    ] {
        let got = pod.get_afar(&format!("http://{to}/"));
        assert_eq!(got, answer, "from afar to {to}");
    }
}

#[test]
fn who_may_not_change_rules_is_told_what_it_takes() {
    let Some(pod) = Pod::new() else { return };
    let program = env!("CARGO_BIN_EXE_outrigger");
    let line = [
        "--bounding-set",
        "-net_admin",
        "--inh-caps",
        "-net_admin",
        program,
        "redirect",
        "install",
        "--outbound-port",
        "15001",
    ];
    let output = pod.run(0, &line);
    let printed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("NET_ADMIN"), "{printed}");
}

#[test]
fn a_machine_without_iptables_is_told_so() {
    let output = Command::new(env!("CARGO_BIN_EXE_outrigger"))
        .args(["redirect", "show"])
        .env("PATH", "/nowhere")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    let told = "error: there is no `iptables` here\nhelp: install the package `iptables`";
    assert!(printed.starts_with(told), "{printed}");
}

/// Those that are installed here.
fn flavours() -> impl Iterator<Item = &'static str> {
    let all = ["iptables-nft", "iptables-legacy"].into_iter();
    all.filter(|program| Command::new(program).arg("-V").output().is_ok())
}

/// Two listeners of the proxy, and two ports of the application.
fn in_pod(pod: &Pod) -> Proxy {
    start(
        &pod.shell(),
        &[
            (15001, "outbound"),
            (15006, "inbound"),
            (9090, "app"),
            (9091, "app"),
        ],
    )
}

fn afar(pod: &Pod) -> Proxy {
    start(&pod.shell_afar(), &[(8080, "afar"), (8081, "afar")])
}

/// Answers on each port with its own word.
fn start(shell: &str, ports: &[(u16, &str)]) -> Proxy {
    let tables = ports.iter().map(|(port, word)| {
        format!(
            "[listeners.l{port}]\nlisten = \"[::]:{port}\"\n\
             [routes.r{port}]\nlistener = \"l{port}\"\nrespond = {{ body = \"{word}\" }}\n"
        )
    });
    let text: String = tables.collect();
    Launch::new(text).by_shell(shell).one_worker().start()
}
