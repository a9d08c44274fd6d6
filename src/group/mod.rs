//! Groups of a realm: a tree of names to which people belong.
//!
//! A group is named by its path (`/crew/night watch`); a slash inside a name is written `~/` there, as Keycloak does.

pub mod rows;

use std::collections::{BTreeMap, HashMap};

use crate::kernel::GroupId;

/// The longest name of a group, in characters.
const LONGEST_NAME: usize = 255;
/// How deep groups may lie in each other.
const DEEPEST: usize = 16;

/// A group of a realm.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// The group that it lies in; `None` at the top.
    pub parent: Option<GroupId>,
    /// Its name, unique within its parent.
    pub name: String,
    /// Free attributes.
    pub attributes: BTreeMap<String, Vec<String>>,
}

/// A path that cannot name a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A name between two slashes is empty.
    #[error("a group's path has an empty name in it")]
    Empty,
    /// A name is longer than 255 characters.
    #[error("a group's name is longer than 255 characters")]
    TooLong,
    /// More than 16 groups inside each other.
    #[error("a group's path is more than 16 names deep")]
    TooDeep,
    /// A control character.
    #[error("a group's name has control characters in it")]
    Characters,
}

/// The names of a path, from the top; the slash at its start may be left out.
///
/// # Errors
/// The path cannot name a group.
pub fn names_of(path: &str) -> Result<Vec<String>, PathError> {
    let mut names = vec![String::new()];
    let mut characters = path.strip_prefix('/').unwrap_or(path).chars().peekable();
    while let Some(character) = characters.next() {
        match (character, names.last_mut()) {
            ('~', Some(name)) if characters.peek() == Some(&'/') => {
                name.push('/');
                characters.next();
            }
            ('/', _) => names.push(String::new()),
            (character, Some(name)) => name.push(character),
            (_, None) => {}
        }
    }
    if names.len() > DEEPEST {
        return Err(PathError::TooDeep);
    }
    for name in &mut names {
        *name = name.trim().to_owned();
        if name.is_empty() {
            return Err(PathError::Empty);
        }
        if name.chars().count() > LONGEST_NAME {
            return Err(PathError::TooLong);
        }
        if name.chars().any(char::is_control) {
            return Err(PathError::Characters);
        }
    }
    Ok(names)
}

/// The path that these names make.
pub fn path_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names
        .into_iter()
        .map(|name| format!("/{}", name.replace('/', "~/")))
        .collect()
}

/// All groups of a realm, found by their paths.
#[derive(Debug, Clone, Default)]
pub struct GroupTree {
    groups: HashMap<GroupId, Group>,
    paths: HashMap<String, GroupId>,
}

impl GroupTree {
    /// Puts groups together.
    pub fn new(groups: Vec<Group>) -> Self {
        let groups: HashMap<GroupId, Group> = groups
            .into_iter()
            .map(|group| (group.id.clone(), group))
            .collect();
        let paths = groups
            .keys()
            .map(|id| (path_in(&groups, id), id.clone()))
            .collect();
        Self { groups, paths }
    }

    /// The group at a path as [`path_of`] writes it.
    pub fn at(&self, path: &str) -> Option<&GroupId> {
        self.paths.get(path)
    }

    /// The group of that id.
    pub fn get(&self, id: &GroupId) -> Option<&Group> {
        self.groups.get(id)
    }

    /// The path of a group; `/` where there is none of that id.
    pub fn path(&self, id: &GroupId) -> String {
        path_in(&self.groups, id)
    }

    /// The groups directly inside one, or at the top, by name.
    pub fn inside(&self, parent: Option<&GroupId>) -> Vec<&Group> {
        let mut found: Vec<&Group> = self
            .groups
            .values()
            .filter(|group| group.parent.as_ref() == parent)
            .collect();
        found.sort_by(|one, two| one.name.cmp(&two.name));
        found
    }

    /// Takes a group in.
    pub fn add(&mut self, group: Group) {
        let id = group.id.clone();
        self.groups.insert(id.clone(), group);
        self.paths.insert(path_in(&self.groups, &id), id);
    }
}

fn path_in(groups: &HashMap<GroupId, Group>, id: &GroupId) -> String {
    let mut names = Vec::new();
    let mut at = groups.get(id);
    while let Some(group) = at {
        names.push(group.name.as_str());
        // A ring cannot be made; should one lie in the database all the same, this ends.
        if names.len() > groups.len() {
            break;
        }
        at = group.parent.as_ref().and_then(|parent| groups.get(parent));
    }
    path_of(names.into_iter().rev())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_and_written_back() {
        for (path, names, written) in [
            (
                "/crew/night watch",
                &["crew", "night watch"][..],
                "/crew/night watch",
            ),
            ("crew", &["crew"], "/crew"),
            ("/a~/b/c", &["a/b", "c"], "/a~/b/c"),
            ("/~x", &["~x"], "/~x"),
        ] {
            let read = names_of(path).unwrap();
            assert_eq!(read, names, "{path}");
            assert_eq!(path_of(read.iter().map(String::as_str)), written);
        }
        assert_eq!(names_of(""), Err(PathError::Empty));
        assert_eq!(names_of("/a//b"), Err(PathError::Empty));
        assert_eq!(names_of("/a\u{7}"), Err(PathError::Characters));
        assert_eq!(names_of(&"/a".repeat(17)), Err(PathError::TooDeep));
        assert_eq!(names_of(&"a".repeat(256)), Err(PathError::TooLong));
    }

    #[test]
    fn a_tree_finds_its_groups_by_path() {
        let group = |id: &str, parent: Option<&str>, name: &str| Group {
            id: GroupId::new(id),
            parent: parent.map(GroupId::new),
            name: name.to_owned(),
            attributes: BTreeMap::new(),
        };
        let mut tree = GroupTree::new(vec![
            group("2", Some("1"), "night watch"),
            group("1", None, "crew"),
        ]);
        assert_eq!(tree.at("/crew/night watch"), Some(&GroupId::new("2")));
        tree.add(group("3", Some("2"), "bell"));
        assert_eq!(tree.path(&GroupId::new("3")), "/crew/night watch/bell");
        assert_eq!(tree.at("/bell"), None);
        assert_eq!(tree.inside(None).len(), 1);
    }
}
