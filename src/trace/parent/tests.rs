use super::*;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

#[test]
fn what_nobody_records_is_one_line() {
    let trace = TraceId::new();
    let parent = Parent::of_unrecorded(&trace);
    assert_eq!(Parent::line_of_unrecorded(&trace), parent.line());
}

#[test]
fn what_the_specification_has_valid_goes_on_and_nothing_else() {
    let whole = |flags: &str| format!("00-{TRACE}-{SPAN}-{flags}");
    let zeros = |count| "0".repeat(count);
    let cases = [
        // What comes, and what goes on, if it is valid.
        (whole("00"), Some(whole("00"))),
        (whole("01"), Some(whole("01"))),
        (whole("02"), Some(whole("02"))),
        (whole("03"), Some(whole("03"))),
        (whole("08"), Some(whole("00"))),
        (whole("ff"), Some(whole("03"))),
        (format!("01-{TRACE}-{SPAN}-01"), Some(whole("01"))),
        (format!("01-{TRACE}-{SPAN}-01-more"), Some(whole("01"))),
        (format!("cc-{TRACE}-{SPAN}-01-"), Some(whole("01"))),
        (format!("fe-{TRACE}-{SPAN}-09-a-b"), Some(whole("01"))),
        (format!("cc-{TRACE}-{SPAN}-01.more"), None),
        (format!("cc-{TRACE}-{SPAN}-011"), None),
        (format!("ff-{TRACE}-{SPAN}-01"), None),
        (format!("00-{TRACE}-{SPAN}-01-"), None),
        (format!("00-{TRACE}-{SPAN}-01-more"), None),
        (format!("00-{}-{SPAN}-01", zeros(32)), None),
        (format!("00-{TRACE}-{}-01", zeros(16)), None),
        (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), None),
        (format!("00-{TRACE}-{}-01", SPAN.to_uppercase()), None),
        (format!("0A-{TRACE}-{SPAN}-01"), None),
        (format!("00-{TRACE}-{SPAN}-0A"), None),
        (format!("00-{TRACE}-{SPAN}-0"), None),
        (format!("00-{TRACE}-{SPAN}-"), None),
        (format!("00-{TRACE}-{SPAN}"), None),
        (format!("00-{TRACE}"), None),
        (format!("0-{TRACE}-{SPAN}-01"), None),
        (format!("000-{TRACE}-{SPAN}-01"), None),
        (format!("00-{}-{SPAN}-01", &TRACE[1..]), None),
        (format!("00-{TRACE}-{}-01", &SPAN[1..]), None),
        (format!("00-{}g-{SPAN}-01", &TRACE[1..]), None),
        (format!("00_{TRACE}-{SPAN}-01"), None),
        (format!("00-{TRACE}_{SPAN}-01"), None),
        (format!("00-{TRACE}-{SPAN}_01"), None),
        (format!(" 00-{TRACE}-{SPAN}-01"), None),
        (String::new(), None),
        ("00".to_owned(), None),
    ];
    for (value, goes_on) in cases {
        let read = Parent::read(value.as_bytes());
        assert_eq!(read.map(|parent| parent.to_string()), goes_on, "{value}");
    }
}
