//! The precedence table, row by row: what each source says, and why it counts or not.
//!
//! Which row counts is `identity`'s to say; here are the words for it.

use crate::identity::{self, Finding, Key, Listed, Source as Row, Standings};
use crate::pod::Platform;

use super::Case;
use super::explanation::{Source, Standing};
use super::facts::{Content, Document, Found, Mapped};

/// The rows in their order.
const ROWS: [Row; 4] =
    [Row::CredentialsFile, Row::PodIdentityAnnotation, Row::RoleAnnotation, Row::ConfigMap];

// === impl Case ===

impl Case<'_> {
    pub(super) fn sources(&self) -> Vec<Source> {
        let row = |row: Row| {
            let standing = self.standing(row);
            let mut says = match row {
                Row::CredentialsFile => self.file(),
                Row::PodIdentityAnnotation => self.annotation(Key::PodIdentity),
                Row::RoleAnnotation => self.annotation(Key::RoleArn),
                Row::ConfigMap => self.mapping(),
            };
            if standing == Standing::Overruled
                && let Some(why) = self.overruled(row)
            {
                says = format!("{says}; {why}");
            }
            Source { source: row.name(), standing, says }
        };
        ROWS.map(row).into()
    }

    fn standing(&self, row: Row) -> Standing {
        let Standings { credentials_file, pod_identity_annotation, role_annotation, config_map } =
            self.resolution.standings;
        let (standing, is_read) = match row {
            Row::CredentialsFile => (credentials_file, is_read(&self.facts.credentials_file)),
            Row::PodIdentityAnnotation => (pod_identity_annotation, Some(())),
            Row::RoleAnnotation => (role_annotation, Some(())),
            Row::ConfigMap => (config_map, is_read(&self.facts.mapping)),
        };
        match (is_read, standing) {
            (None, _) | (_, identity::Standing::NotRead) => Standing::NotRead,
            (_, identity::Standing::Chosen) => Standing::Chosen,
            (_, identity::Standing::Overruled) => Standing::Overruled,
            (_, identity::Standing::Silent) => Standing::Silent,
            (_, identity::Standing::Unreadable) => Standing::Unreadable,
        }
    }

    /// Why a row that names an identity does not count.
    fn overruled(&self, row: Row) -> Option<String> {
        let chosen = ROWS.into_iter().find(|other| self.standing(*other) == Standing::Chosen)?;
        let is_pod_identity =
            |row| matches!(row, Row::CredentialsFile | Row::PodIdentityAnnotation);
        let place = match self.pod.platform() {
            Platform::Linux => None,
            Platform::Windows => Some("on Windows"),
            Platform::Fargate => Some("on Fargate"),
        };
        Some(match place.filter(|_| is_pod_identity(row) && !is_pod_identity(chosen)) {
            Some(place) => format!("a role beats it {place}, where no Pod Identity agent runs"),
            None => format!("{} comes first", title(chosen)),
        })
    }

    fn file(&self) -> String {
        match &self.facts.credentials_file {
            Document::Unused => "not in use".to_owned(),
            Document::Unknown => "cannot tell whether it is in use".to_owned(),
            Document::Unseen(why) => why.to_string(),
            Document::Says(Listed::Yes, place) => format!("lists the account ({place})"),
            Document::Says(Listed::No, place) => format!("does not list the account ({place})"),
        }
    }

    fn annotation(&self, key: Key) -> String {
        let annotations = match self.facts.account.found {
            Found::Known { annotations, .. } => annotations,
            Found::Absent => return "there is no such ServiceAccount".to_owned(),
            Found::NotGiven(why) => return why.to_owned(),
        };
        let Some(value) = annotations.value(key) else {
            return self.absent(key);
        };
        match (key, identity::switch(value)) {
            (Key::PodIdentity, Ok(true)) => "true".to_owned(),
            (Key::PodIdentity, Ok(false)) => "false".to_owned(),
            (Key::PodIdentity, Err(_)) => "neither true nor false, so it is ignored".to_owned(),
            _ => value.to_owned(),
        }
    }

    fn absent(&self, key: Key) -> String {
        let prefix = self.facts.prefix();
        let record = match self.facts.account.found {
            Found::Known { record, .. } => record,
            Found::Absent | Found::NotGiven(_) => None,
        };
        let content = record.and_then(|r| r.annotation(&format!("{prefix}/{}", key.name())));
        let mut missed = self.resolution.findings.iter().filter_map(|finding| match finding {
            Finding::MisspelledKey { found, meant } if *meant == key => Some(*found),
            _ => None,
        });
        match (content, missed.next()) {
            (Some(Content::Blank), _) => "blank, which counts as absent".to_owned(),
            (_, Some(found)) => format!("absent; {found} is none"),
            _ => "absent".to_owned(),
        }
    }

    fn mapping(&self) -> String {
        match &self.facts.mapping {
            Document::Unused => "not in use".to_owned(),
            Document::Unknown => "cannot tell whether it is in use".to_owned(),
            Document::Unseen(why) => why.to_string(),
            Document::Says(Mapped { entry: None, dropped: None }, _) => "no entry fits".to_owned(),
            Document::Says(Mapped { entry: None, dropped: Some(why) }, _) => {
                format!("the account's entry was dropped: {why}")
            }
            Document::Says(Mapped { entry: Some((key, mapping)), .. }, _) => {
                match &mapping.role_arn {
                    Some(role) => format!("{key}: {role}"),
                    None => format!("{key} names no role"),
                }
            }
        }
    }
}

fn is_read<T>(document: &Document<T>) -> Option<()> {
    match document {
        Document::Says(..) => Some(()),
        Document::Unused | Document::Unseen(_) | Document::Unknown => None,
    }
}

/// What a person calls the source of this name.
pub(super) fn title_of(name: &str) -> &'static str {
    ROWS.into_iter().find(|row| row.name() == name).map_or("", title)
}

/// What a person calls a row.
const fn title(row: Row) -> &'static str {
    match row {
        Row::CredentialsFile => "container-credentials file",
        Row::PodIdentityAnnotation => "annotation pod-identity",
        Row::RoleAnnotation => "annotation role-arn",
        Row::ConfigMap => "mappings ConfigMap",
    }
}
