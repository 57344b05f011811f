//! The explanation for a person: what it is, why, and what to do, on one screen.
//!
//! What nobody chose is one line, what is as it should be is one line, and only what is wrong takes
//! room. All of it is in the JSON, which has more.

use serde_json::Value;

use super::explanation::{
    Called, Change, Changed, ChosenBy, Container, ContainerState, Existence, Explanation, Finding,
    PolicyStanding, Setting, Standing, State, Token, Trust, Uses, Verdict, Weight,
};
use super::findings::{NOT_CALLED, duration};
use super::page::{Mark, Page, Sheet};
use super::sources::title_of;

// === impl Explanation ===

impl Explanation {
    /// The text, laid out for `page`.
    pub fn text(&self, page: Page) -> String {
        let mut sheet = Sheet::new(page);
        let mark = match self.verdict {
            Verdict::Complete => Mark::Good,
            Verdict::NotMeant => Mark::Neutral,
            Verdict::Wrong => Mark::Bad,
        };
        sheet.headline(mark, &self.headline());
        sheet.blank();
        if let Some(identity) = &self.identity {
            let says = match &identity.role {
                Some(role) => format!("IRSA, {role}"),
                None => "EKS Pod Identity, by the association in EKS".to_owned(),
            };
            sheet.row("identity", Mark::None, &says);
        }
        self.write_sources(&mut sheet);
        if let Some(policy) = &self.role_policy {
            let mark = match policy.standing {
                PolicyStanding::Allowed => Mark::Good,
                PolicyStanding::NotAllowed => Mark::Bad,
                PolicyStanding::NotRead => Mark::Hint,
            };
            sheet.row("role policy", mark, &policy.says);
        }
        self.write_settings(&mut sheet);
        self.write_containers(&mut sheet);
        self.write_account(&mut sheet);
        self.write_webhook(&mut sheet);
        let of_no_container = self.findings.iter().filter(|f| !self.is_shown_with_container(f));
        write_findings(&mut sheet, "findings", of_no_container);
        if let Some(trust) = self.trust.as_ref().filter(|_| self.verdict != Verdict::NotMeant) {
            write_trust(&mut sheet, trust);
        }
        sheet.row("next", Mark::None, &self.next);
        sheet.finish()
    }

    fn headline(&self) -> String {
        let subject = &self.subject;
        let what = format!("{} {}/{}", subject.kind, subject.namespace, subject.name);
        let problem = self.findings.iter().find(|finding| finding.weight == Weight::Problem);
        let code = problem.map_or(self.reason, |finding| finding.code);
        let [whole, part, none] = match subject.state {
            State::Created => {
                ["has its identity", "does not have all of its identity", "has no identity"]
            }
            State::Planned => {
                ["gets its identity", "does not get all of its identity", "gets no identity"]
            }
            State::Account => [
                "gives its Pods an identity",
                "does not give its Pods all of an identity",
                "gives its Pods no identity",
            ],
        };
        let stands = match (self.reason, &self.identity) {
            (_, None) | ("containers-skipped", _) => none,
            ("authors-own", _) => "keeps the credentials that its author chose",
            ("injected" | "already-injected", _) => whole,
            ("missing-identity", _) => "runs without its identity",
            (reason, _) if reason.starts_with("other-") => "runs with another identity",
            // Injected as it stands.
            ("invalid-role-arn" | "role-not-allowed", _)
                if self.containers.iter().all(has_or_gets) =>
            {
                whole
            }
            _ => part,
        };
        match self.verdict {
            Verdict::Complete => format!("{what} {stands}"),
            Verdict::NotMeant => format!("{what} {stands}, and none is meant ({})", self.reason),
            Verdict::Wrong if stands == whole => format!("{what} {stands}, but: {code}"),
            Verdict::Wrong => format!("{what} {stands}: {code}"),
        }
    }

    fn write_sources(&self, sheet: &mut Sheet) {
        for (at, source) in self.sources.iter().enumerate() {
            let label = if at == 0 { "sources" } else { "" };
            let mark = match source.standing {
                Standing::Chosen => Mark::Chosen,
                Standing::Unreadable => Mark::Bad,
                Standing::Overruled | Standing::Silent | Standing::NotRead => Mark::Neutral,
            };
            let title = title_of(source.source);
            sheet.cell(label, mark, &format!("{title:28}"), &source.says);
        }
    }

    fn write_settings(&self, sheet: &mut Sheet) {
        let (by_default, chosen): (Vec<_>, Vec<_>) =
            self.settings.iter().partition(|s| s.chosen_by == ChosenBy::Default);
        let mut label = "settings";
        for setting in chosen {
            if let Some(phrase) = phrase(setting) {
                sheet.row(label, Mark::None, &format!("{phrase}, {}", whence(setting)));
                label = "";
            }
        }
        let phrases: Vec<_> = by_default.into_iter().filter_map(phrase).collect();
        if !phrases.is_empty() {
            sheet.row(label, Mark::None, &format!("by default: {}", phrases.join(", ")));
        }
    }

    fn write_containers(&self, sheet: &mut Sheet) {
        let names = || self.containers.iter().map(|container| title(container).chars().count());
        let width = names().max().unwrap_or_default().min(24) + 2;
        let mut label = "containers";
        for container in &self.containers {
            let Some((mark, text)) = told(container) else { continue };
            let name = title(container);
            sheet.cell(label, mark, &format!("{name:width$}"), &text);
            label = "";
            let of_this = |finding: &&Finding| finding.container.as_ref() == Some(&container.name);
            for finding in self.findings.iter().filter(of_this) {
                sheet.below(width, mark_of(finding), &finding.text);
            }
        }
    }

    /// Whether a finding stands below the container that it is about.
    fn is_shown_with_container(&self, finding: &Finding) -> bool {
        self.containers.iter().any(|container| {
            finding.container.as_ref() == Some(&container.name) && told(container).is_some()
        })
    }

    fn write_account(&self, sheet: &mut Sheet) {
        let name = &self.account.name;
        if self.subject.state != State::Created || self.account.found != Existence::Known {
            return;
        }
        let changes = &self.account.annotations;
        let changed = |wanted: Changed| changes.iter().filter(move |c| c.changed == wanted);
        let mut says: Vec<String> = Vec::new();
        for change in changed(Changed::After).chain(changed(Changed::PerhapsAfter)) {
            let how = match change.changed {
                Changed::After => "was written",
                _ => "may have been written",
            };
            let after = duration(change.seconds_after_the_pod.unwrap_or_default());
            let by = change.manager.as_ref().map(|m| format!(" by {m}")).unwrap_or_default();
            says.push(format!("{} {how} {after} after the Pod{by}", short(change)));
        }
        let unsure: Vec<_> = changed(Changed::CannotTell).map(short).collect();
        if !unsure.is_empty() {
            let names = unsure.join(", ");
            says.push(format!("cannot tell whether {names} changed after the Pod was created"));
        }
        if says.is_empty() && !changes.is_empty() {
            says.push("its annotations are older than the Pod".to_owned());
        }
        if !says.is_empty() {
            sheet.row("account", Mark::None, &format!("{name}: {}", says.join("; ")));
        }
    }

    fn write_webhook(&self, sheet: &mut Sheet) {
        let webhook = &self.webhook;
        let flags = match (&webhook.flags_of, webhook.unread.as_slice()) {
            (Some(pod), []) => format!("flags of Pod {pod}"),
            (Some(pod), unread) => {
                format!("flags of Pod {pod}, of which {} could not be read", unread.join(", "))
            }
            (None, _) => "flags by default".to_owned(),
        };
        let given = match webhook.given.as_slice() {
            [] => String::new(),
            given => format!(", but for --{}", given.join(", --")),
        };
        let called = match (webhook.called, &webhook.by) {
            (Called::Yes, Some(by)) => format!("called by {by}"),
            (Called::No, Some(_)) if self.findings.iter().any(|f| f.code == NOT_CALLED) => {
                "none is called".to_owned()
            }
            (Called::No, Some(why)) => format!("none is called: {why}"),
            (Called::CannotTell, Some(why)) => format!("cannot tell whether it is called: {why}"),
            (_, None) => return,
        };
        sheet.row("webhook", Mark::None, &format!("{called}; {flags}{given}"));
    }
}

fn has_or_gets(container: &Container) -> bool {
    matches!(container.state, ContainerState::Has | ContainerState::Gets)
}

/// A container as the text calls it.
fn title(container: &Container) -> String {
    match container.list {
        "initContainers" => format!("{} (init)", container.name),
        "ephemeralContainers" => format!("{} (ephemeral)", container.name),
        _ => container.name.clone(),
    }
}

/// What is said of a container; nothing of one in a Pod without an identity.
fn told(container: &Container) -> Option<(Mark, String)> {
    let Container { list, state, why, has, adds, token, .. } = container;
    let mut parts: Vec<&str> = adds.clone();
    if *token == Token::Added {
        parts.push("the token");
    }
    let adds = listed(&parts);
    let mut had: Vec<&str> = has.clone();
    if *token == Token::Mounted {
        had.push("the token");
    }
    let has = listed(&had);
    let node = match container.uses {
        Uses::Node => ", so that SDKs fall back to the node's role",
        Uses::StaticKeys | Uses::WebIdentity | Uses::ContainerCredentials => "",
    };
    let why = why.as_deref();
    let with = |text: String| match why {
        Some(why) => format!("{text}; {why}"),
        None => text,
    };
    // An ephemeral container cannot be changed any more, and the next one may have it.
    let bad = if *list == "ephemeralContainers" { Mark::Hint } else { Mark::Bad };
    Some(match state {
        ContainerState::NoIdentity => (Mark::Neutral, why?.to_owned()),
        ContainerState::Has => (Mark::Good, with(format!("has {has}"))),
        ContainerState::Gets if had.is_empty() => (Mark::Good, with(format!("gets {adds}"))),
        ContainerState::Gets => (Mark::Good, with(format!("gets {adds}; has {has}"))),
        ContainerState::Lacks => (bad, with(format!("lacks {adds}{node}"))),
        ContainerState::HasAnother => (bad, why.unwrap_or("has another one").to_owned()),
        ContainerState::AuthorsOwn => (Mark::Neutral, with("left as it is".to_owned())),
        ContainerState::LeftOut => {
            let by = why.map(|why| format!(" {why}")).unwrap_or_default();
            (Mark::Neutral, format!("left out{by}"))
        }
        ContainerState::Withheld if parts.is_empty() => (bad, with(format!("left alone{node}"))),
        ContainerState::Withheld => (bad, with(format!("gets {adds} only{node}"))),
    })
}

fn listed(parts: &[&str]) -> String {
    match parts {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn mark_of(finding: &Finding) -> Mark {
    match finding.weight {
        Weight::Problem => Mark::Bad,
        Weight::Hint => Mark::Hint,
    }
}

fn write_findings<'a>(sheet: &mut Sheet, label: &str, findings: impl Iterator<Item = &'a Finding>) {
    for (at, finding) in findings.enumerate() {
        sheet.row(if at == 0 { label } else { "" }, mark_of(finding), &finding.text);
    }
}

/// An annotation without its prefix.
fn short(change: &Change) -> &str {
    change.annotation.rsplit('/').next().unwrap_or_default()
}

/// A setting in words.
fn phrase(setting: &Setting) -> Option<String> {
    let names = |value: &Value| {
        let names = value.as_array()?.iter().filter_map(Value::as_str);
        Some(names.collect::<Vec<_>>().join(", "))
    };
    let Setting { setting: name, value, .. } = setting;
    let on = value.as_bool() == Some(true);
    Some(match *name {
        "audience" => format!("audience {}", value.as_str()?),
        "token-expiration" => match &setting.note {
            Some(note) => format!("token for {value} s ({note})"),
            None => format!("token for {value} s"),
        },
        "sts-regional-endpoints" if on => "regional STS".to_owned(),
        "sts-regional-endpoints" => "no regional STS".to_owned(),
        "region" => value.as_str().map_or("no region".to_owned(), |r| format!("region {r}")),
        "role-session-name" if on => "session named after the Pod".to_owned(),
        "role-session-name" => "no session name".to_owned(),
        "skip-containers" | "include-containers" => format!("{name} {}", names(value)?),
        "token-mount-path" => format!("token at {}", value.as_str()?),
        _ => return None,
    })
}

fn whence(setting: &Setting) -> String {
    let flag = setting.flag.unwrap_or_default();
    match setting.chosen_by {
        ChosenBy::Pod => "from the Pod".to_owned(),
        ChosenBy::ServiceAccount => "from the ServiceAccount".to_owned(),
        ChosenBy::Mapping => "from the mapping".to_owned(),
        ChosenBy::GivenFlag => format!("from --{flag} as given here"),
        ChosenBy::WebhookFlag => format!("from the webhook's --{flag}"),
        ChosenBy::Default => "by default".to_owned(),
    }
}

fn write_trust(sheet: &mut Sheet, trust: &Trust) {
    if let Some(association) = &trust.association {
        sheet.row("EKS", Mark::None, "needs this association:");
        sheet.verbatim(association);
    }
    let needs = match &trust.provider {
        Some(_) => "needs this trust policy, and its account this OIDC provider:",
        None => "needs this trust policy:",
    };
    sheet.row("role", Mark::None, needs);
    sheet.verbatim(&compact(&trust.policy));
    for unknown in &trust.unknown {
        sheet.row("", Mark::Hint, unknown);
    }
}

/// JSON that is short and still read by people: an object a line down to the conditions.
fn compact(policy: &Value) -> String {
    let text = |value: Option<&Value>| value.unwrap_or(&Value::Null).to_string();
    let statement = policy.pointer("/Statement/0");
    let field = |name: &str| statement.and_then(|statement| statement.get(name));
    let mut lines = vec![
        format!(r#"{{"Version": {}, "Statement": [{{"#, text(policy.get("Version"))),
        format!(r#"  "Effect": {}, "Action": {},"#, text(field("Effect")), text(field("Action"))),
        format!(r#"  "Principal": {{{}}}"#, members(field("Principal"), ", ")),
    ];
    let condition = statement.and_then(|s| s.pointer("/Condition/StringEquals"));
    if condition.is_some() {
        if let Some(last) = lines.last_mut() {
            last.push(',');
        }
        lines.push(r#"  "Condition": {"StringEquals": {"#.to_owned());
        lines.push(format!("    {}", members(condition, ",\n    ")));
        if let Some(last) = lines.last_mut() {
            last.push_str("}}");
        }
    }
    if let Some(last) = lines.last_mut() {
        last.push_str("}]}");
    }
    lines.join("\n")
}

/// The members of an object.
fn members(object: Option<&Value>, between: &str) -> String {
    let members = object.and_then(Value::as_object).into_iter().flatten();
    let members: Vec<_> =
        members.map(|(key, value)| format!("{}: {value}", Value::from(key.as_str()))).collect();
    members.join(between)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_policy_is_written_short_and_means_the_same() {
        for policy in [
            json!({ "Version": "2012-10-17", "Statement": [{
                "Effect": "Allow",
                "Principal": { "Federated": "arn:aws:iam::111122223333:oidc-provider/issuer.example/\"x" },
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": { "StringEquals": { "issuer.example:sub": "s", "issuer.example:aud": "a" } },
            }]}),
            json!({ "Version": "2012-10-17", "Statement": [{
                "Effect": "Allow",
                "Principal": { "Service": "pods.eks.amazonaws.com" },
                "Action": ["sts:AssumeRole", "sts:TagSession"],
            }]}),
        ] {
            let text = compact(&policy);
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), policy, "{text}");
        }
    }
}
