use super::*;

#[test]
fn secrets_are_struck_out() {
    for (text, shown) in [
        (
            r#"bearer = { value = "s3cret" } # x"#,
            r#"bearer = { value = "******" } #**"#,
        ),
        (r#"bearer = 's3cret'"#, "bearer = '******'"),
        ("password=\"half", "password=\"****"),
        ("token = s3 cret # x\ny", "token = ***********\ny"),
        ("token = { env = \"A\" }", "token = { env = \"A\" }"),
        (
            "client_secret = \"\"\"a\nb\"\"\"",
            "client_secret = \"\"\"*\n*\"\"\"",
        ),
        (
            "url = \"http://me:s3cret@idp/a@b\"",
            "url = \"http://*********@idp/a@b\"",
        ),
        (
            "url = \"http://me:s3/cret@idp\"",
            "url = \"http://**********@idp\"",
        ),
        (
            "url = \"http://me:s3@cret@idp:80/a\"",
            "url = \"http://**********@idp:80/a\"",
        ),
        ("e = [\"me:s3@app:80\"]", "e = [\"*****@app:80\"]"),
        ("e = [\"//me:s3@app:80\"]", "e = [\"//*****@app:80\"]"),
        ("{\"value\": \"s3\"}", "{\"value\": \"**\"}"),
        (
            "key = \"-----BEGIN RSA PRIVATE KEY-----\\ns3\\n-----END",
            "key = \"-----BEGIN RSA PRIVATE KEY-----******-----END",
        ),
        (
            "key = -----BEGIN PRIVATE KEY-----\ns3",
            "key = -----BEGIN PRIVATE KEY-----\n**",
        ),
        (
            "endpoints = [\"token:80\"] # x",
            "endpoints = [\"token:80\"] # x",
        ),
        ("timeout = \"1s\"", "timeout = \"1s\""),
        (
            "{ header = \"X-Key: s3\", b = \"c\" }",
            "{ header = \"X-Key: **\", b = \"c\" }",
        ),
        ("from = \"header:x-key\"", "from = \"header:x-key\""),
        ("a = \"1s\" # token: s3", "a = \"1s\" # token: **"),
        (
            "h = [\"x-api-key: s3\", \"b\"]",
            "h = [\"x-api-key: **\"**\"*\"*",
        ),
        (
            "h = { x = \"Basic czM6czM6\" }",
            "h = { x = \"Basic ********\" }",
        ),
        (
            "bearer = { file = \"/run/token\" }",
            "bearer = { file = \"/run/token\" }",
        ),
    ] {
        assert_eq!(redact(text).len(), text.len(), "{text}");
        assert_eq!(redact(text), shown);
    }
    let escaped = redact("\"value\" = \"é\\\"\"");
    assert!(!escaped.contains('é'), "{escaped}");
}

/// However the key is misspelled, and whatever form the value has.
#[test]
fn whatever_stands_in_a_credential_is_struck_out() {
    for text in [
        "credentials = { bearer = { valeu = \"S3\" } }",
        "credentials = { bearer = [\"S3\"] }",
        "credentials = { basic = { username = \"u\", passwd = \"S3\" } }",
        "credentials = { basic = { username = \"u\", pw = 'S3' } }",
        "credentials = { bearer = 53 }\nx = \"S3\"",
        "credentials = { bearer = { file = [\"S3\"] } }",
        "credentials = { bearer = { \"S3\" } }",
        "credentials = { bearer = { valeu: \"S3\" } }",
        "credentials = { bearer = { valeu = \"S3 } }",
        "credentials = { bearer = { x = \"\"\"S3\nS3\"\"\" } }",
        "credentials = \"S3\"",
        "credentails.oauth2.secret_text = \"S3\"",
        "[routes.a.credentials]\nfoo = \"S3\"\nbar: S3\nbaz \"S3\"",
        "[routes.a.credentials.oauth2]\nclient_id = \"S3\"",
        "[[routes.a.credentials]]\nx = { y = { z = 'S3' } }",
        "[routes.\"a\".\"credentials\"]\nx = S3 S3",
        "[defaults]\ncredentials.x.y = \"S3\"",
        "passwrod = \"S3\"",
        "client_secert = [\"S3\"]",
        "x = { clientsecret = \"S3\" }",
        "db-password = \"S3\"",
        "x = { client_secret_2 = [\"S3\"] }",
        "api-key: S3",
        "token = \"a\" # was S3",
        "[routes.a.credentials]\n# was S3\nbearer = { file = \"/t\" } # S3",
        "[routes.a.credentials.bearer]\nS3",
        "[routes.a.credentials.bearer]\nvalue =\n\"S3\"\n",
        "credentials.bearer.value =\n  S3\ny = 1",
        "set_headers = { Authorization = [\"Bearer S3\"] }",
        "headers = { Cookie = \"sid=S3\" }",
    ] {
        let shown = redact(text);
        assert_eq!(shown.len(), text.len(), "{text}");
        let hidden = shown.replace("x = \"S3\"", "");
        assert!(!hidden.contains("S3") && !hidden.contains("53"), "{shown}");
    }
}

#[test]
fn where_a_secret_comes_from_is_shown() {
    for text in [
        "credentials = { bearer = { file = \"/run/x\" } }",
        "credentials = { api_key = { header = \"X-API-Key\" } }",
        "[a.credentials.oauth2]\ntoken_url = \"https://idp/token\"\nauth_style = \"post\"",
        "[a.credentials]\n[b]\nkey = \"x.pem\"\npath = \"/v1\"\nvalues = 1",
        "jwt = { audiences = [\"a\"], from = \"header:x\" }",
        "authorize = { clients = [\"*\"] } # who may",
        "[a.credentials]\nbearer =\n[b]\nlisten \"x\"",
        "vaule = true # what nobody knows",
        "credentials = { xyz = false }",
    ] {
        let shown = redact(text);
        let expected = text.replace("values = 1", "values = *");
        assert_eq!(shown, expected);
    }
}

#[test]
fn a_sentence_loses_the_users_of_its_urls() {
    let said = sentence("`http://me:s3cret@a:1` is a URL".to_owned());
    assert_eq!(said, "`http://*********@a:1` is a URL");
    assert_eq!(sentence("`a:1` is a".to_owned()), "`a:1` is a");
    let said = sentence("cannot read `/a/-----BEGIN PRIVATE KEY-----\ns3\n`".to_owned());
    assert!(!said.contains("s3"), "{said}");
}
