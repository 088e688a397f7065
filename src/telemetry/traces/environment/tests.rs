use super::*;

const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

/// What follows from a block and variables, and what is wrong with them.
fn read(toml: &str, variables: &[(&str, &str)]) -> (Option<Settings>, Vec<String>) {
    let config: Config = toml::from_str(toml).unwrap();
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let environment: Environment = variables.iter().map(owned).collect();
    let mut problems = Problems::default();
    let settings = environment.settings(&config, &mut problems);
    let found = problems.into_vec();
    let messages = found.into_iter().map(|problem| problem.message);
    (settings.ok().flatten(), messages.collect())
}

fn good(toml: &str, variables: &[(&str, &str)]) -> Settings {
    let (settings, problems) = read(toml, variables);
    assert_eq!(problems, [""; 0], "{variables:?}");
    settings.unwrap()
}

#[test]
fn nothing_is_recorded_without_an_endpoint() {
    for variables in [
        &[][..],
        &[
            ("OTEL_SERVICE_NAME", "pay"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", " "),
        ],
        &[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")],
        &[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")],
    ] {
        let (settings, problems) = read("sample_ratio = 1.0", variables);
        assert!(settings.is_none() && problems.is_empty(), "{variables:?}");
    }
    let disabled = [("OTEL_SDK_DISABLED", "true")];
    let (settings, problems) = read("endpoint = \"http://c:4318\"", &disabled);
    assert!(settings.is_none() && problems.len() == 1);
}

#[test]
fn the_url_is_that_of_traces() {
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:1/own");
    for (toml, variables, url) in [
        ("", vec![ENDPOINT], "http://collector:4318/v1/traces"),
        ("", vec![ENDPOINT, traces], "http://t:1/own"),
        (
            "endpoint = \"http://f:2\"",
            vec![ENDPOINT, traces],
            "http://f:2/v1/traces",
        ),
        (
            "endpoint = \"http://f:2/a/\"",
            vec![],
            "http://f:2/a/v1/traces",
        ),
        (
            "endpoint = \"http://f:2/v1/traces\"",
            vec![],
            "http://f:2/v1/traces",
        ),
        // What the environment says of its own endpoint is of no interest then.
        (
            "endpoint = \"http://f:2\"",
            vec![
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                ("OTEL_TRACES_EXPORTER", "zipkin"),
            ],
            "http://f:2/v1/traces",
        ),
    ] {
        assert_eq!(good(toml, &variables).url.to_string(), url);
    }
}

#[test]
fn the_file_wins_and_the_environment_fills_in() {
    let variables = [
        ENDPOINT,
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
        ("OTEL_SERVICE_NAME", "pay"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=other, k8s.pod.name=a%2Cb,",
        ),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "64"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "9"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "7"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "100"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "2000"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "7000"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "700"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=s3cret%3D1,x=y"),
    ];
    let settings = good("", &variables);
    assert_eq!(settings.sampler, Sampler::new(true, 0.5));
    assert_eq!(
        settings.limits,
        Limits {
            queued: 64,
            batch: 64,
            attributes: 9,
            longest: 100,
        }
    );
    assert_eq!(settings.delay, Duration::from_millis(100));
    assert_eq!(settings.timeout, Duration::from_millis(700));
    assert_eq!(settings.patience, Duration::from_secs(2));
    assert!(settings.gzip);
    assert_eq!(settings.headers["api-key"], "s3cret=1");
    assert!(!format!("{settings:?}").contains("s3cret"));
    let of = |settings: &Settings, key: &str| {
        let mut found = settings.resource.iter().filter(|(name, _)| name == key);
        found.next().map(|(_, value)| value.clone())
    };
    assert_eq!(of(&settings, NAME).as_deref(), Some("pay"));
    assert_eq!(of(&settings, "k8s.pod.name").as_deref(), Some("a,b"));
    let settings = good("sample_ratio = 0.25\nservice_name = \"mine\"", &variables);
    assert_eq!(settings.sampler, Sampler::new(true, 0.25));
    assert_eq!(of(&settings, NAME).as_deref(), Some("mine"));
    let bare = good("", &[ENDPOINT]);
    assert_eq!(bare.sampler, Sampler::new(true, RATIO));
    assert_eq!(of(&bare, NAME).as_deref(), Some("outrigger"));
}

#[test]
fn samplers_are_those_of_the_specification() {
    for (name, sampler) in [
        ("always_on", Sampler::new(false, 1.0)),
        ("always_off", Sampler::new(false, 0.0)),
        ("traceidratio", Sampler::new(false, 1.0)),
        ("parentbased_always_on", Sampler::new(true, 1.0)),
        ("parentbased_always_off", Sampler::new(true, 0.0)),
    ] {
        let found = good("", &[ENDPOINT, ("OTEL_TRACES_SAMPLER", name)]).sampler;
        assert_eq!(found, sampler, "{name}");
    }
}

#[test]
fn traces_go_on_by_one_kind_of_heads() {
    for (list, propagates, not_built) in [
        ("tracecontext,baggage", true, 0),
        (" baggage , tracecontext", true, 0),
        ("b3multi,tracecontext,xray", true, 2),
        ("baggage", false, 0),
        ("b3", false, 1),
        ("none", false, 0),
    ] {
        let (settings, problems) = read("", &[ENDPOINT, ("OTEL_PROPAGATORS", list)]);
        assert_eq!(settings.unwrap().propagates, propagates, "{list}");
        assert_eq!(problems.len(), not_built, "{problems:?}");
        assert!(problems.iter().all(|problem| problem.contains("not built")));
    }
    assert!(good("", &[ENDPOINT]).propagates);
}

#[test]
fn what_is_not_there_is_an_error_that_names_its_variable() {
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "s3cret"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a"),
        ("OTEL_BSP_SCHEDULE_DELAY", "5s"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096"),
    ] {
        let (settings, problems) = read("", &[ENDPOINT, (name, value)]);
        assert!(settings.is_none(), "{name}");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(name), "{problems:?}");
        assert!(!problems[0].contains("s3cret"), "{problems:?}");
    }
    let share = [
        ENDPOINT,
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
    ];
    assert_eq!(read("", &share).1.len(), 1);
}
