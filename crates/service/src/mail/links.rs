//! Where the links in mails lead: to what the configuration says, never to what a request says.

use super::TemplateText;

/// Where links lead. An address that is not set makes a mail that shows the code without a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// The server's own address, for templates.
    pub public: Option<String>,
    /// The page that asks for a new password.
    pub reset: Option<String>,
    /// The page that confirms an address.
    pub confirm: Option<String>,
    /// The page that accepts an invitation.
    pub invite: Option<String>,
    /// Further addresses that a request may choose, each exactly.
    pub allowed: Vec<String>,
}

impl Links {
    /// The address a request has chosen, where it may.
    pub(crate) fn chosen(&self, asked: &str) -> Option<String> {
        self.allowed
            .iter()
            .find(|allowed| *allowed == asked)
            .cloned()
    }

    /// The usual address for a template.
    pub(crate) fn usual(&self, template: &str) -> Option<&str> {
        match template {
            TemplateText::RESET => self.reset.as_deref(),
            TemplateText::CONFIRM | TemplateText::CHANGE => self.confirm.as_deref(),
            TemplateText::INVITE => self.invite.as_deref(),
            _ => None,
        }
    }

    /// Whether an address can be one a link begins with: `http` or `https`, a host, nothing that pretends to be another
    /// host, nothing that needs to be escaped. What is wrong with it, where it cannot.
    pub fn check(address: &str) -> Result<(), &'static str> {
        let rest = address
            .strip_prefix("https://")
            .or_else(|| address.strip_prefix("http://"))
            .ok_or("must begin with https:// or http://")?;
        let plain = |c: char| c.is_ascii_graphic() && !"\"'<>\\`{}|^".contains(c);
        if !address.chars().all(plain) {
            return Err(
                "must not contain spaces, quotes, brackets or other characters that have to be escaped",
            );
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.is_empty() {
            return Err("has no host");
        }
        if authority.contains('@') {
            return Err("must not contain a user");
        }
        Ok(())
    }
}

/// A link: the address with the code as its last parameter. Codes need no escaping. An address that ends with '=' has named
/// the parameter itself.
pub(crate) fn link(address: &str, code: &str) -> String {
    format!("{}{code}", with_parameter(address, "code"))
}

/// The address up to the value of its last parameter.
pub(crate) fn with_parameter(address: &str, name: &str) -> String {
    // Pages that route by what follows '#' look for their parameters there.
    let last = address.rsplit('#').next().unwrap_or(address);
    let joint = match last.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some((_, query)) if query.ends_with('=') => return address.into(),
        Some((_, query)) if query.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{address}{joint}{name}=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_end_with_the_code() {
        for (address, made) in [
            ("https://a.example/reset", "https://a.example/reset?code=c"),
            ("https://a.example/?", "https://a.example/?code=c"),
            ("https://a.example/?l=de", "https://a.example/?l=de&code=c"),
            (
                "https://a.example/#/reset",
                "https://a.example/#/reset?code=c",
            ),
            (
                "https://a.example/?l=de&token=",
                "https://a.example/?l=de&token=c",
            ),
            (
                "https://a.example/?a=b#/reset",
                "https://a.example/?a=b#/reset?code=c",
            ),
        ] {
            assert_eq!(link(address, "c"), made);
        }
    }

    #[test]
    fn only_plain_addresses_of_pages_can_be_linked() {
        for good in [
            "https://a.example",
            "http://localhost:3000/#/reset",
            "https://a.example/x?y=z&w=%20",
        ] {
            assert_eq!(Links::check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "a.example/reset",
            "//a.example",
            "javascript:alert(1)",
            "https://",
            "https:///reset",
            "https://a.example@evil.example/",
            "https://a.example/\\evil.example",
            "https://a.example/\"><script>",
            "https://a.example/a b",
            "https://a.example/\r\nX: y",
            "https://ä.example/",
        ] {
            assert!(Links::check(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_request_chooses_among_what_is_allowed_to_the_letter() {
        let links = Links {
            allowed: vec!["https://a.example/reset".into()],
            ..Links::default()
        };
        assert!(links.chosen("https://a.example/reset").is_some());
        for other in [
            "https://a.example/reset/",
            "https://a.example/reset?x=<b>",
            "https://A.example/reset",
            "https://a.example",
            "https://a.example/reset@evil.example",
            "",
        ] {
            assert!(links.chosen(other).is_none(), "{other}");
        }
    }
}
