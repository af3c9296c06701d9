//! Mail by the program itself: what is asked for survives its death, and links are where the configuration says.

use std::os::unix::fs::PermissionsExt;

use portreeve_testkit::postgres::Postgres;
use portreeve_testkit::smtp::{At, Failing, SmtpSink};
use serde_json::json;

use crate::program::{Place, Server};

const ACCESS: &str = "collections: {}\n";

const LINES: &str = r#"{"user": {"username": "root", "password": "root-password", "roles": ["admin"]}}
{"user": {"username": "anna", "email": "anna@school.example", "password": "anna-learns-1", "roles": ["user"]}}
"#;

fn place(sink: &SmtpSink, database: &[&str]) -> Place {
    let place = Place::new();
    let port = sink.port();
    place.write("mail.password", "office-password\nnot this line\n");
    let secret = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(place.folder.join("mail.password"), secret).unwrap();
    place.write(
        "portreeve.toml",
        &format!(
            "[server]\nname = \"The School\"\npublic_url = \"https://school.example\"\n\
             [mail]\nhost = \"127.0.0.1\"\nport = {port}\nencryption = \"none\"\nuser = \"office\"\n\
             password_file = \"mail.password\"\nfrom = \"School <office@school.example>\"\n\
             reset_url = \"https://school.example/reset\"\n"
        ),
    );
    place.write("access.yaml", ACCESS);
    place.write("lines.ndjson", LINES);
    let run = |arguments: &[&str]| place.run(&[arguments, database].concat()).good();
    run(&["apply", "access.yaml"]);
    run(&["load", "lines.ndjson"]);
    place
}

fn serve(place: &Place, database: &[&str]) -> Server {
    place.serve(&[&["--config", "portreeve.toml"], database].concat())
}

fn on_both(test: impl Fn(&[&str])) {
    test(&[]);
    if let Some(server) = Postgres::find() {
        let database = server.database();
        test(&["--database", &database.url()]);
    }
}

#[test]
fn what_is_asked_for_survives_the_death_of_the_program() {
    on_both(|database| {
        let sink = SmtpSink::start();
        let place = place(&sink, database);
        sink.fail_always(Some(Failing::Answer(At::Rcpt, 451)));
        let mut server = serve(&place, database);
        let body = json!({ "login": "anna" });
        let (status, _) = server.ask("POST", "/v1/auth/forgot-password", None, Some(body));
        assert_eq!(status, 202);
        let log = server.wait_for_log("a mail could not be sent; it will be tried again");
        assert!(log.contains("451"), "{log}");
        server.kill();
        assert!(sink.mails().is_empty());
        sink.fail_always(None);
        let server = serve(&place, database);
        let mails = sink.wait_for(1);
        assert_eq!(mails.len(), 1);
        let account = ("office".to_owned(), "office-password".to_owned());
        assert_eq!(mails[0].account, Some(account));
        let code = mails[0].code();
        assert!(
            mails[0]
                .text()
                .contains(&format!("https://school.example/reset?code={code}"))
        );
        let body = json!({ "code": code, "password": "anna-learns-2" });
        let (status, answer) = server.ask("POST", "/v1/auth/reset-password", None, Some(body));
        assert_eq!(status, 204, "{answer}");
        server.sign_in("anna", "anna-learns-2");
        assert_eq!(server.stop(), 0);
    });
}

#[test]
fn neither_codes_nor_passwords_are_logged() {
    let sink = SmtpSink::start();
    let place = place(&sink, &[]);
    let mut command = place.command(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--config",
        "portreeve.toml",
    ]);
    command.env("PORTREEVE_LOG", "trace");
    let mut server = place.started(command);
    let body = json!({ "login": "anna" });
    server.ask("POST", "/v1/auth/forgot-password", None, Some(body));
    let code = sink.wait_for(1)[0].code();
    server.wait_for_log("mail sent");
    let body = json!({ "code": code, "password": "anna-learns-2" });
    let (status, _) = server.ask("POST", "/v1/auth/reset-password", None, Some(body));
    assert_eq!(status, 204);
    let log = server.stop_and_tell();
    assert!(log.contains("stopped"), "{log}");
    for secret in [
        &code[4..],
        "office-password",
        "anna-learns-2",
        "anna@school.example",
    ] {
        assert!(!log.contains(secret), "'{secret}' is in the log");
    }
    let shown = place.run(&["config", "check", "portreeve.toml"]).good();
    assert!(
        shown.out.contains("mail.host = \"127.0.0.1\""),
        "{}",
        shown.out
    );
    assert!(!shown.out.contains("office-password"), "{}", shown.out);
}

#[test]
fn a_configuration_that_cannot_work_is_told_before_anything_is_done() {
    let place = Place::new();
    for (mail, said) in [
        ("host = \"m.example\"", "mail.from is missing"),
        (
            "host = \"m.example\"\nform = \"a@b.example\"",
            "did you mean 'from'?",
        ),
        ("reset_url = \"/reset\"", "mail.reset_url"),
        ("reset_lifetime = \"1 week\"", "such as 30m"),
    ] {
        place.write("portreeve.toml", &format!("[mail]\n{mail}\n"));
        place
            .run(&["config", "check", "portreeve.toml"])
            .failed(&[said]);
        place
            .run(&["serve", "--config", "portreeve.toml"])
            .failed(&[said]);
    }
    assert!(!place.folder.join("portreeve-data").exists());
}

#[test]
fn in_development_mails_are_read_and_not_sent() {
    let place = Place::new();
    place.write("access.yaml", ACCESS);
    place.write("lines.ndjson", LINES);
    let mut server = place.serve(&["--dev", "--access", "access.yaml", "--load", "lines.ndjson"]);
    let body = json!({ "login": "anna" });
    let (status, _) = server.ask("POST", "/v1/auth/forgot-password", None, Some(body));
    assert_eq!(status, 202);
    server.wait_for_log("a mail can be read at /v1/dev/mails");
    let (status, mails) = server.ask("GET", "/v1/dev/mails", None, None);
    assert_eq!(status, 200, "{mails}");
    assert_eq!(mails["data"][0]["to"], "anna@school.example");
    assert!(mails["data"][0]["text"].as_str().unwrap().contains("prc_"));
}
