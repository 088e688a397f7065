//! What is done with a file has a span below its request's.

use super::{Data, config};
use crate::support::{Collector, Launch};

#[test]
fn a_file_is_a_span_that_names_its_directory() {
    let (data, collector) = (Data::new(), Collector::start());
    data.write("a.txt", "content");
    let mut text = config(&data.root(), "");
    text.push_str(&format!(
        "[tracing]\nendpoint = \"http://{}\"\nsample_ratio = 1\n",
        collector.address()
    ));
    let launch = Launch::new(text).by_shell("exec env OTEL_BSP_SCHEDULE_DELAY=50 \"$0\" \"$@\"");
    let proxy = launch.start();
    let mut client = proxy.client();
    assert_eq!(
        client.request("GET", "/files/a.txt", &[], "").text(),
        "content"
    );
    assert_eq!(client.request("GET", "/files/b.txt", &[], "").status, 404);
    let spans = collector.after(4);
    let requests: Vec<_> = spans.iter().filter(|span| span.kind == 2).collect();
    let mut files = spans.iter().filter(|span| span.kind == 1);
    for (file, request) in files.by_ref().zip(requests) {
        assert_eq!(
            (&*file.parent, &*file.trace),
            (&*request.id, &*request.trace)
        );
        assert_eq!((&*file.name, file.status), ("files GET", 0));
        let root = data.root();
        assert_eq!(file.attributes["file.directory"], root.to_str().unwrap());
        assert!(request.start <= file.start && file.end <= request.end);
    }
    assert!(files.next().is_none());
}
