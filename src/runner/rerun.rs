//! The command line that judges again.

/// What stands after `avp-conform`, quoted for a shell, credentials masked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rerun {
    /// The command, where there is one, and its options, e.g. `--server http://127.0.0.1:8787`.
    pub options: String,
    /// The program that is judged and its arguments, which come last; empty without one.
    pub program: String,
    /// Names of the headers that the deployment asks for; their values are in no report.
    pub headers: Vec<String>,
    /// Whether it plays the findings of a fuzzing campaign: all of them, none can be chosen.
    pub campaign: bool,
}

impl From<String> for Rerun {
    fn from(options: String) -> Self {
        Self { options, ..Self::default() }
    }
}

impl Rerun {
    /// The whole line.
    pub fn line(&self) -> String {
        let (start, end) = self.parts("");
        format!("{start} {end}").trim_end().to_owned()
    }

    /// For one check, in two parts: where a line is too narrow, it is broken between them. The second may be empty.
    pub fn for_check(&self, id: &str) -> (String, String) {
        self.parts(&if self.campaign { String::new() } else { format!("--only {id}") })
    }

    fn parts(&self, only: &str) -> (String, String) {
        let start = format!("avp-conform {}", self.options).trim_end().to_owned();
        let program = if self.program.is_empty() { String::new() } else { format!("-- {}", self.program) };
        (start, format!("{only} {program}").trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_chosen_before_the_program() {
        let server = Rerun::from("--server-cmd './my -- server'".to_owned());
        assert_eq!(server.for_check("a/b").1, "--only a/b");
        assert_eq!(server.line(), "avp-conform --server-cmd './my -- server'");
        let client = Rerun { options: "client".into(), program: "./my --url {url}".into(), ..Rerun::default() };
        assert_eq!(client.for_check("a/b"), ("avp-conform client".into(), "--only a/b -- ./my --url {url}".into()));
        assert_eq!(client.line(), "avp-conform client -- ./my --url {url}");
        let campaign = Rerun { options: "fuzz --embedded".into(), campaign: true, ..Rerun::default() };
        assert_eq!(campaign.for_check("a/b"), ("avp-conform fuzz --embedded".into(), String::new()));
        assert_eq!(Rerun::default().line(), "avp-conform");
    }
}
