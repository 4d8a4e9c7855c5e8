//! The file of `aclfile`: one `user` line each.

use super::{DEFAULT, PubsubDefault, RuleError, USERS_MAX, User, Users, merge, user};

/// Everything that is wrong with a file, in the words of Redis.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FileErrors(String);

/// The content of a file that holds these users.
pub fn text(users: &Users) -> String {
    users
        .lines()
        .iter()
        .map(|line| line.clone() + "\n")
        .collect()
}

/// The users of a file. One that does not define the default user leaves it unrestricted, as Redis
/// does.
///
/// # Errors
/// All that is wrong with any line; `name` is the file as the operator wrote it.
pub fn parse(name: &str, text: &str, pubsub: PubsubDefault) -> Result<Users, FileErrors> {
    let mut users = Users::new(pubsub);
    let mut errors = String::new();
    let mut seen: Vec<&str> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let place = format!("{name}:{}", index + 1);
        let words: Vec<&str> = line.trim().split(' ').collect();
        if words == [""] {
            continue;
        }
        let ["user", username, rules @ ..] = words.as_slice() else {
            let text = format!("{place} should start with user keyword followed by the username. ");
            errors.push_str(&text);
            continue;
        };
        if user::checked_name(username.as_bytes()).is_none() {
            errors.push_str(&format!("{place}: username contains invalid characters. "));
            continue;
        }
        if seen.contains(username) {
            let line = index + 1;
            let text = format!("WARNING: Duplicate user '{username}' found on line {line}. ");
            errors.push_str(&text);
            continue;
        }
        if seen.len() >= USERS_MAX {
            errors.push_str(&format!("{place}: more than {USERS_MAX} users. "));
            break;
        }
        seen.push(username);
        let mut user = User::new(username, pubsub);
        errors.push_str(&apply(&mut user, rules, &place, pubsub));
        users.put(user);
    }
    if errors.is_empty() {
        debug_assert!(users.get(DEFAULT).is_some());
        return Ok(users);
    }
    errors.push_str(
        "WARNING: ACL errors detected, no change to the previously active ACL rules was performed",
    );
    Err(FileErrors(errors))
}

/// Applies the rules of a line; what is wrong with them.
fn apply(user: &mut User, rules: &[&str], place: &str, pubsub: PubsubDefault) -> String {
    let words: Vec<&[u8]> = rules.iter().map(|rule| rule.as_bytes()).collect();
    let Ok(rules) = merge::selectors(&words) else {
        return format!("{place}: Unmatched parentheses in selector definition. ");
    };
    let mut errors = String::new();
    let mut told = false;
    for rule in rules {
        match user.apply(rule.trim_ascii(), pubsub) {
            Ok(()) => {}
            Err(RuleError::Unknown) => {
                let (rule, error) = (String::from_utf8_lossy(&rule), RuleError::Unknown);
                let text = format!("{place}: Error in applying operation '{rule}': {error}. ");
                errors.push_str(&text);
            }
            // The rule is not repeated, as it may hold a password, and one such error is enough.
            Err(error) if !told => {
                told = true;
                errors.push_str(&format!("{place}: {error}. "));
            }
            Err(_) => {}
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_read_back() {
        let text_in = "user alice on  ~a (+ping ~x) +sentinel|masters\r\n\n  user bob off\n";
        let users = parse("f", text_in, PubsubDefault::default()).unwrap();
        assert_eq!(
            text(&users),
            "user alice on ~a resetchannels -@all +sentinel|masters \
             (~x resetchannels -@all +ping)\n\
             user bob off resetchannels -@all\nuser default on nopass ~* &* +@all\n"
        );
        let again = parse("f", &text(&users), PubsubDefault::default()).unwrap();
        assert_eq!(again, users);
    }

    #[test]
    fn every_error_is_told_in_the_words_of_redis() {
        let text = "user alice on +foo\nusr x\n\nuser alice on\nuser bob nope >pw\nuser bob on";
        let errors = parse("users.acl", text, PubsubDefault::default()).unwrap_err();
        assert_eq!(
            errors.to_string(),
            "users.acl:1: Error in applying operation '+foo': Unknown command or category name in \
             ACL. users.acl:2 should start with user keyword followed by the username. WARNING: \
             Duplicate user 'alice' found on line 4. users.acl:5: Syntax error. WARNING: Duplicate \
             user 'bob' found on line 6. WARNING: ACL errors detected, no change to the previously \
             active ACL rules was performed"
        );
    }
}
