//! The architecture, held: who may know whom, where the drivers are confined, and what the code of
//! the product does not contain.
//!
//! Only what is compiled into the product is looked at: tests at the end of a file, and files that
//! are compiled for tests alone, may use what they like.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Each module and those of the others that it may use, in reading order.
const EDGES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("failpoint", &[]),
    ("moment", &[]),
    ("estimate", &[]),
    ("ranking", &[]),
    ("wrap", &[]),
    ("secret", &[]),
    ("advice", &["secret"]),
    ("setting", &["secret"]),
    ("spec", &["model", "wrap"]),
    ("readable", &["model", "moment", "spec"]),
    ("pairs", &["model", "setting"]),
    ("plan", &["model", "pairs"]),
    ("merge", &["model", "spec"]),
    ("storage", &["model", "spec"]),
    ("register", &["model", "storage"]),
    ("cluster", &["model", "secret", "setting", "spec", "storage", "register"]),
    ("events", &["model", "secret", "setting"]),
    ("journal", &["model", "spec", "merge"]),
    ("history", &["model", "spec", "merge", "journal"]),
    ("latency", &[]),
    ("pace", &["setting"]),
    ("live", &["model", "moment", "secret", "latency", "pace"]),
    (
        "pipeline",
        &[
            "model",
            "failpoint",
            "estimate",
            "ranking",
            "setting",
            "spec",
            "readable",
            "plan",
            "merge",
            "storage",
            "events",
            "journal",
            "history",
            "latency",
            "pace",
            "register",
        ],
    ),
    (
        "verify",
        &[
            "model",
            "failpoint",
            "setting",
            "spec",
            "readable",
            "merge",
            "storage",
            "events",
            "journal",
            "history",
            "pipeline",
            "register",
        ],
    ),
    (
        "undo",
        &[
            "model",
            "failpoint",
            "setting",
            "spec",
            "merge",
            "storage",
            "events",
            "journal",
            "history",
            "pipeline",
            "register",
        ],
    ),
    ("help", &["model", "wrap", "setting", "pairs", "events"]),
    ("run", &["advice", "model", "moment"]),
    (
        "report",
        &[
            "advice", "model", "moment", "estimate", "wrap", "plan", "journal", "latency",
            "verify", "run",
        ],
    ),
    (
        "cli",
        &[
            "advice", "model", "moment", "estimate", "ranking", "secret", "setting", "spec",
            "pairs", "plan", "storage", "cluster", "events", "readable", "journal", "latency",
            "pace", "live", "pipeline", "verify", "undo", "run", "report", "register", "help",
        ],
    ),
    ("main", &["cli"]),
];

/// A crate and the only places of `src/` that may name it.
const CONFINED: &[(&str, &[&str])] = &[
    ("scylla", &["cluster", "bin/dataset"]),
    ("openssl", &["cluster"]),
    ("tokio_openssl", &["cluster"]),
    ("rdkafka", &["events/kafka", "bin/dataset"]),
    ("rusqlite", &["journal"]),
    ("axum", &["live"]),
    ("hyper", &["live"]),
];

const MAX_LINES: usize = 400;

/// Files of the product: path below `src/` → text.
fn sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("src/ can be listed") {
            let path: PathBuf = entry.expect("src/ can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).expect("it is below").display().to_string();
                sources.insert(name, std::fs::read_to_string(&path).expect("a source is text"));
            }
        }
    }
    assert!(sources.len() > 20, "only {} sources found", sources.len());
    sources
}

/// Every breach of the rules, one line each.
fn breaches(sources: &BTreeMap<String, String>) -> Vec<String> {
    let for_tests: BTreeSet<String> = sources.iter().flat_map(|(n, t)| test_files(n, t)).collect();
    let mut breaches = Vec::new();
    for (name, text) in sources {
        let lines = text.lines().count();
        if lines > MAX_LINES {
            breaches.push(format!("{name}: {lines} lines, more than {MAX_LINES}"));
        }
        if for_tests.iter().any(|test| name == test || is_within(name, module_of(test))) {
            continue;
        }
        let tokens = tokens(product_part(text));
        breaches.extend(forbidden_edges(name, &tokens));
        breaches.extend(unconfined(name, &tokens));
        breaches.extend(forbidden_calls(name, &tokens));
        breaches.extend(commands_to_run(name, product_part(text)));
        breaches.extend(explained(name, &tokens));
        breaches.extend(comments(name, product_part(text)));
    }
    breaches
}

/// What stands above the tests of a file.
fn product_part(text: &str) -> &str {
    let end = text.find("\n#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    &text[..end]
}

/// The files of `#[cfg(test)] mod name;` in a file.
fn test_files(name: &str, text: &str) -> Vec<String> {
    let folder = match name.rsplit_once('/') {
        Some((folder, "mod.rs")) => format!("{folder}/"),
        _ if ["lib.rs", "main.rs"].contains(&name) => String::new(),
        _ => format!("{}/", name.trim_end_matches(".rs")),
    };
    let declared = text.split("#[cfg(test)]\n").skip(1).filter_map(|rest| {
        let line = rest.lines().next()?.trim();
        let line = line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub ")).unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';')
    });
    declared.flat_map(|m| [format!("{folder}{m}.rs"), format!("{folder}{m}/mod.rs")]).collect()
}

/// Where the modules in a file have their files.
fn module_of(name: &str) -> &str {
    name.strip_suffix("/mod.rs").or(name.strip_suffix(".rs")).unwrap_or(name)
}

/// Words and single signs, without comments, strings and characters.
fn tokens(text: &str) -> Vec<String> {
    parts(text).0
}

/// Strings and characters, with their quotes.
fn literals(text: &str) -> Vec<&str> {
    parts(text).1
}

/// Words and single signs; strings and characters. Comments are neither.
fn parts(text: &str) -> (Vec<String>, Vec<&str>) {
    let (mut tokens, mut literals) = (Vec::new(), Vec::new());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if let Some(length) = literal(rest) {
            literals.push(&rest[..length]);
            length
        } else if first.is_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(rest[..end].to_owned());
            end
        } else {
            if !first.is_whitespace() {
                tokens.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    (tokens, literals)
}

/// The length of the string or character that `rest` starts with.
fn literal(rest: &str) -> Option<usize> {
    let raw = rest
        .strip_prefix("br")
        .or_else(|| rest.strip_prefix('r'))
        .filter(|rest| rest.trim_start_matches('#').starts_with('"'));
    if let Some(raw) = raw {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        let start = rest.len() - raw.len() + hashes + 1;
        return Some(rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len()));
    }
    let start = usize::from(rest.starts_with("b\"") || rest.starts_with("b'"));
    let quote = rest[start..].chars().next()?;
    if quote == '\'' && !is_character(&rest[start..]) {
        return None; // a lifetime
    }
    if quote != '"' && quote != '\'' {
        return None;
    }
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(start + 1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

fn is_character(rest: &str) -> bool {
    let mut chars = rest.chars().skip(1);
    match chars.next() {
        Some('\\') => true,
        _ => chars.next() == Some('\''),
    }
}

/// The module of `src/` that a file belongs to, and how many modules deep its code is.
fn module(name: &str) -> (&str, usize) {
    let module = name.split(['/', '.']).next().unwrap_or_default();
    let folders = name.matches('/').count();
    let depth =
        if name.ends_with("/mod.rs") || !name.contains('/') { folders.max(1) } else { folders + 1 };
    (module, if ["lib.rs", "main.rs"].contains(&name) { 0 } else { depth })
}

/// The modules that `crate::…`, `super::…` and (in a binary) `tributary::…` reach.
fn reached(depth: usize, tokens: &[String]) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let is = |at: usize, word: &str| tokens.get(at).is_some_and(|token| token == word);
    let is_path = |at: usize| is(at, ":") && is(at + 1, ":");
    let mut at = 0;
    while at < tokens.len() {
        let begins = at == 0 || !is(at - 1, ":");
        let mut end = at;
        let mut from_root = false;
        if begins && (is(at, "crate") || is(at, "tributary")) && is_path(at + 1) {
            (end, from_root) = (at + 3, true);
        } else if begins && is(at, "super") {
            let mut supers = 0;
            while is(end, "super") && is_path(end + 1) {
                (end, supers) = (end + 3, supers + 1);
            }
            from_root = supers > 0 && supers >= depth;
        }
        if from_root {
            reached.extend(first_names(&tokens[end..]));
        }
        at = end.max(at + 1);
    }
    reached
}

/// The first name of a path, or of each path in a group.
fn first_names(tokens: &[String]) -> Vec<String> {
    if tokens.first().is_some_and(|token| token != "{") {
        return vec![tokens[0].clone()];
    }
    let mut names = Vec::new();
    let (mut depth, mut expected) = (0, false);
    for token in tokens {
        match token.as_str() {
            "{" => (depth, expected) = (depth + 1, depth == 0),
            "}" => depth -= 1,
            "," => expected = depth == 1,
            name if expected && depth == 1 => {
                names.push(name.to_owned());
                expected = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn forbidden_edges(name: &str, tokens: &[String]) -> Vec<String> {
    let (module, depth) = module(name);
    if module == "lib" || module == "bin" {
        return Vec::new(); // it declares the modules; binaries beside the product stand on top
    }
    let Some((_, allowed)) = EDGES.iter().find(|(known, _)| *known == module) else {
        return vec![format!("{name}: the module {module} has no place in the table of edges")];
    };
    reached(depth, tokens)
        .into_iter()
        .filter(|used| used != module && !allowed.contains(&used.as_str()))
        .map(|used| format!("{name}: {module} must not use {used}"))
        .collect()
}

fn unconfined(name: &str, tokens: &[String]) -> Vec<String> {
    CONFINED
        .iter()
        .filter(|(_, places)| !places.iter().any(|place| is_within(name, place)))
        .filter(|(confined, _)| tokens.iter().any(|token| token == confined))
        .map(|(confined, places)| format!("{name}: {confined} is confined to {places:?}"))
        .collect()
}

fn is_within(name: &str, place: &str) -> bool {
    name.strip_prefix(place).is_some_and(|rest| rest.starts_with(['/', '.']))
}

fn forbidden_calls(name: &str, tokens: &[String]) -> Vec<String> {
    let calls = tokens.windows(3).filter_map(|window| {
        let [before, word, after] = window else { return None };
        let call = before == "." && after == "(";
        (call && (word == "unwrap" || word == "expect")).then(|| format!("{name}: .{word}()"))
    });
    let may_print = name.starts_with("cli") || name.starts_with("bin/");
    let prints = tokens.windows(2).filter_map(move |window| {
        let prints = ["print", "println", "eprint", "eprintln"].contains(&window[0].as_str());
        (prints && window[1] == "!" && !may_print).then(|| format!("{name}: {}!", window[0]))
    });
    calls.chain(prints).collect()
}

/// Where commands may be written: the one place that advises them, and the examples of the help.
const SPELLS_COMMANDS: &[&str] = &["advice", "cli/args/examples"];

const COMMANDS: &[&str] = &[
    "plan",
    "apply",
    "resume",
    "verify",
    "undo",
    "lookup",
    "forget",
    "record",
    "control",
    "config",
    "completions",
    "man",
    "runs",
    "spec",
    "help",
];

/// Words that had to be explained, and the field's words for them. None is part of an identifier, or the name of a file;
/// sentences for people may have them.
const WORDS: &[(&str, &str)] = &[
    ("place", "index, key, path, location, layer"),
    ("heed", "track"),
    ("told", "reported, explicit"),
    ("said", "reported, message"),
    ("put off", "deferred"),
    ("taken back", "undone"),
    ("hopeless", "fatal, permanent"),
    ("gone on", "resumed"),
    ("board", "status"),
    ("spool", "input copy"),
    ("lane", "operation"),
    ("ledger", "history"),
    ("outlet", "event sink"),
    ("seal", "completion"),
    ("enrolment", "clustered row"),
    ("felt", "latency"),
];

/// Names of the product with a word that is none of the field. Data sets are about courses, and may say so.
fn explained(name: &str, tokens: &[String]) -> Vec<String> {
    let path = name.replace('/', " ");
    let names = tokens.iter().map(String::as_str).chain([path.trim_end_matches(".rs")]);
    let names: BTreeSet<&str> = names.collect();
    let found = names.into_iter().filter(|_| !name.starts_with("bin/")).flat_map(|identifier| {
        let words = words_of(identifier);
        WORDS
            .iter()
            .filter(move |(word, _)| has_word(&words, word))
            .map(move |pair| (identifier, pair))
    });
    found
        .map(|(identifier, (word, better))| {
            format!("{name}: {identifier}: say {better}, not {word}")
        })
        .collect()
}

/// Whether a word, or several that follow each other, are among those of an identifier, also as a plural or participle.
fn has_word(words: &[String], word: &str) -> bool {
    let wanted: Vec<&str> = word.split(' ').collect();
    let is = |word: &String, wanted: &str| {
        word.strip_prefix(wanted).is_some_and(|rest| ["", "s", "d", "ed"].contains(&rest))
    };
    words
        .windows(wanted.len())
        .any(|part| part.iter().zip(&wanted).all(|(w, wanted)| is(w, wanted)))
}

/// `TakenBack`, `taken_back` and `TAKEN_BACK` are two words.
fn words_of(identifier: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in identifier.chars() {
        if !c.is_alphanumeric() || c.is_uppercase() && before.is_lowercase() {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_alphanumeric(), words.last_mut()) {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Commands to run that are written out in a string.
fn commands_to_run(name: &str, text: &str) -> Vec<String> {
    if SPELLS_COMMANDS.iter().any(|place| is_within(name, place)) {
        return Vec::new();
    }
    let is_command = |rest: &str| {
        let word = rest.trim_start_matches([' ', '\\', '\n']);
        let word = word.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        COMMANDS.contains(&word)
    };
    let found = literals(text).into_iter().filter(|literal| {
        literal.split("tributary").skip(1).any(|rest| rest.starts_with(' ') && is_command(rest))
    });
    found.map(|literal| format!("{name}: {literal} is a command to run, and no Advice")).collect()
}

/// Words of a comment that say nothing by themselves.
const EMPTY: &[&str] = &[
    "a", "all", "an", "and", "are", "as", "at", "be", "by", "each", "for", "from", "had", "has",
    "have", "how", "in", "is", "it", "its", "many", "of", "on", "one", "or", "so", "some", "that",
    "the", "there", "this", "to", "was", "were", "what", "when", "where", "whether", "which",
    "whose", "with",
];

/// Comments of one line that repeat what the name below them says, and public functions and types that have none.
fn comments(name: &str, text: &str) -> Vec<String> {
    // What stands there is the help of the command line.
    if is_within(name, "cli/args") || name.starts_with("bin/") {
        return Vec::new();
    }
    let (mut found, mut comment, mut owner) = (Vec::new(), Vec::new(), "");
    let mut attribute = 0_isize;
    for line in text.lines() {
        let code = line.trim_start();
        if let Some(said) = code.strip_prefix("///") {
            comment.push(said);
            continue;
        }
        let brackets = |c: char| code.matches(c).count() as isize;
        if attribute > 0 || code.starts_with("#[") {
            attribute += brackets('[') - brackets(']');
            continue;
        }
        let item = code.split_once(['{', '=']).map_or(code, |(item, _)| item);
        if line == code
            && ["struct ", "enum ", "trait ", "impl"].iter().any(|word| code.contains(word))
        {
            owner = item;
        }
        let public = code.strip_prefix("pub ").unwrap_or_default();
        if comment.is_empty() && ITEMS.iter().any(|word| public.starts_with(word)) {
            found.push(format!("{name}: nothing says what this is: {code}"));
        }
        if let [said] = comment[..] {
            let known = [words_of(item), words_of(owner)].concat();
            let is_known = |word: &String| known.iter().any(|known| stem(known) == stem(word));
            let words = words_of(said);
            let mut words = words.iter().filter(|word| !EMPTY.contains(&word.as_str()));
            if !said.contains("[`") && words.all(is_known) {
                found.push(format!("{name}: the comment says what the name says:{said}"));
            }
        }
        comment.clear();
    }
    found
}

/// How a function or a type begins.
const ITEMS: &[&str] =
    &["fn ", "async fn ", "const fn ", "struct ", "enum ", "trait ", "type ", "const "];

/// A word without its ending.
fn stem(word: &str) -> &str {
    let endings = ["ing", "ies", "es", "ed", "s", "e"];
    let stems = endings.iter().filter_map(|ending| word.strip_suffix(ending));
    stems.filter(|stem| stem.len() >= 3).min_by_key(|stem| stem.len()).unwrap_or(word)
}

#[test]
fn the_product_keeps_to_its_architecture() {
    let breaches = breaches(&sources());
    assert!(breaches.is_empty(), "{} breaches:\n{}", breaches.len(), breaches.join("\n"));
}

/// What plans and inspects, and whatever of the pipeline an inspection shares with a merge.
const READ_ONLY: &[&str] = &[
    "cli/plan.rs",
    "cli/inspect.rs",
    "cli/inspect/",
    "pipeline/inspect.rs",
    "pipeline/inspect/",
    "pipeline/work.rs",
];

/// Names with which something could be changed.
const CHANGES: &[&str] =
    &["Writer", "Store", "EventSettings", "SqliteJournal", "write_all", "ClusterRegister"];

#[test]
fn what_only_reads_names_nothing_that_could_write() {
    let sources = sources();
    let read_only = sources.iter().filter(|(name, _)| {
        READ_ONLY
            .iter()
            .any(|place| *name == place || place.ends_with('/') && name.starts_with(place))
    });
    let mut looked_at = 0;
    for (name, text) in read_only {
        looked_at += 1;
        let tokens = tokens(product_part(text));
        let named = tokens.iter().find(|token| CHANGES.contains(&token.as_str()));
        assert_eq!(named, None, "{name}");
        // A connection gives away one that writes by this name.
        assert!(
            !tokens.windows(3).any(|call| call == [".", "store", "("]),
            "{name} calls .store()"
        );
    }
    assert!(looked_at >= 7, "{looked_at}");
}

/// What the first file of each folder says of it, in one line.
fn heads(sources: &BTreeMap<String, String>) -> BTreeMap<&str, String> {
    let folders = sources
        .keys()
        .flat_map(|name| name.match_indices('/').map(|(end, _)| &name[..end]).collect::<Vec<_>>());
    let folders: BTreeSet<&str> = folders.filter(|folder| *folder != "bin").collect();
    let head = |folder: &str| {
        let files =
            [format!("{folder}/mod.rs"), format!("{folder}.rs"), format!("{folder}/main.rs")];
        let text = files.iter().find_map(|file| sources.get(file)).map_or("", String::as_str);
        let head = text.lines().map_while(|line| line.strip_prefix("//!"));
        head.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
    };
    folders.into_iter().map(|folder| (folder, head(folder))).collect()
}

/// Modules as a sentence names them.
fn in_words<'a>(modules: impl Iterator<Item = &'a str>) -> String {
    let modules: Vec<String> = modules.map(|module| format!("`{module}`")).collect();
    match modules.split_last() {
        None => "nothing else of the crate".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

#[test]
fn the_first_file_of_each_folder_says_what_it_is_and_who_may_know_whom() {
    let sources = sources();
    let mut of_modules = 0;
    for (folder, head) in heads(&sources) {
        assert!(!head.is_empty(), "the first file of src/{folder} does not say what it is");
        let Some((_, allowed)) = EDGES.iter().find(|(module, _)| *module == folder) else {
            continue; // within a module, which alone knows it
        };
        of_modules += 1;
        let modules = || EDGES.iter().map(|(module, _)| *module);
        let used = in_words(modules().filter(|module| allowed.contains(module)));
        let users = EDGES.iter().filter(|(_, uses)| uses.contains(&folder));
        let users = in_words(users.map(|(user, _)| *user));
        let sentence = format!("May use {used}; may be used by {users}.");
        assert!(
            head.contains(&sentence),
            "the first file of src/{folder} does not say: {sentence}"
        );
    }
    assert!(of_modules > 15, "{of_modules}");
}

#[test]
fn the_table_of_edges_is_in_reading_order() {
    for (at, (module, allowed)) in EDGES.iter().enumerate() {
        let above: Vec<_> = EDGES[..at].iter().map(|(module, _)| *module).collect();
        for used in *allowed {
            assert!(above.contains(used), "{module} uses {used}, which does not stand above it");
        }
    }
}

/// The paths that begin with the first token: one, or those of a group.
fn branches(tokens: &[String], at: &mut usize) -> Vec<Vec<String>> {
    let mut path: Vec<String> = Vec::new();
    loop {
        match tokens.get(*at).map(String::as_str) {
            Some("{") => {
                let mut found = Vec::new();
                *at += 1;
                while tokens.get(*at).is_some_and(|token| token != "}") {
                    let before = *at;
                    found.extend(
                        branches(tokens, at).into_iter().map(|end| [&path[..], &end[..]].concat()),
                    );
                    *at += usize::from(
                        *at == before || tokens.get(*at).is_some_and(|token| token == ","),
                    );
                }
                *at += 1;
                return found;
            }
            Some(name) => path.push(name.to_owned()),
            None => return vec![path],
        }
        *at += 1;
        if tokens.get(*at..*at + 2).is_none_or(|next| next != [":", ":"]) {
            return vec![path];
        }
        *at += 2;
    }
}

/// All paths in a file; and of each whether it is re-exported.
fn paths(tokens: &[String]) -> Vec<(Vec<String>, bool)> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let is = |back: usize, word: &str| at >= back && tokens[at - back] == word;
        let is_public = is(1, "use") && (is(2, "pub") || is(2, ")"));
        if tokens.get(at + 1..at + 3).is_some_and(|next| next == [":", ":"])
            && !is(1, ":")
            && !is(1, "in")
        {
            found.extend(branches(tokens, &mut at).into_iter().map(|path| (path, is_public)));
        } else {
            at += 1;
        }
    }
    found
}

/// What each file of a folder takes from others of it, directly or through a re-export.
fn taken(folder: &str, sources: &BTreeMap<String, String>) -> BTreeMap<String, BTreeSet<String>> {
    let within = |name: &str| {
        let name = name.strip_prefix(folder)?.trim_end_matches(".rs").trim_end_matches("mod");
        Some(name.trim_matches('/').replace('/', "::"))
    };
    let for_tests: BTreeSet<String> = sources.iter().flat_map(|(n, t)| test_files(n, t)).collect();
    let files: BTreeMap<String, Vec<String>> = sources
        .iter()
        .filter(|(name, _)| !for_tests.contains(*name))
        .filter_map(|(name, text)| Some((within(name)?, tokens(product_part(text)))))
        .collect();
    let below = |file: &str, name: &str| format!("{file}::{name}").trim_matches(':').to_owned();
    // A path from the folder on; none if it leads out of it.
    let absolute = |file: &str, path: &[String]| {
        let root = folder.trim_matches('/');
        let (mut from, mut rest) = (file.to_owned(), path);
        match path {
            [first, second, ..] if first == "crate" => {
                (second == root).then_some(())?;
                (from, rest) = (String::new(), &path[2..]);
            }
            [first, ..] if first == "super" => {
                while let [first, more @ ..] = rest
                    && first == "super"
                {
                    (!from.is_empty()).then_some(())?;
                    from = from.rsplit_once("::").map_or("", |(above, _)| above).to_owned();
                    rest = more;
                }
            }
            [first, ..] => files.contains_key(&below(file, first)).then_some(())?,
            [] => return None,
        }
        Some(rest.iter().fold(from, |from, name| below(&from, name)))
    };
    let found: Vec<(&String, String, bool)> = files
        .iter()
        .flat_map(|(file, tokens)| {
            paths(tokens).into_iter().map(move |(path, public)| (file, path, public))
        })
        .filter_map(|(file, path, public)| Some((file, absolute(file, &path)?, public)))
        .collect();
    let exported: BTreeMap<String, &String> = found
        .iter()
        .filter(|(.., public)| *public)
        .map(|(file, path, _)| (below(file, path.rsplit("::").next().unwrap_or(path)), path))
        .collect();
    let mut taken: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, path, public) in &found {
        let mut path = path.as_str();
        let (mut whole, mut left) = (path, 9);
        while let Some(further) = exported.get(path).filter(|_| left > 0) {
            (path, whole, left) = (further.as_str(), further.as_str(), left - 1);
        }
        while !files.contains_key(path) {
            path = path.rsplit_once("::").map_or("", |(above, _)| above);
        }
        // What a file passes on it need not know.
        if path != *file && !(*public && whole.starts_with(file.as_str())) {
            taken.entry((*file).clone()).or_default().insert(path.to_owned());
        }
    }
    taken
}

/// The files of a folder that take from each other in a circle.
fn circles(folder: &str, sources: &BTreeMap<String, String>) -> Vec<String> {
    let mut taken = taken(folder, sources);
    // Whoever takes from no file that is left, or is taken from by none, is in no circle.
    loop {
        let before = taken.len();
        let known: BTreeSet<String> = taken.keys().cloned().collect();
        taken.values_mut().for_each(|from| from.retain(|file| known.contains(file)));
        let wanted: BTreeSet<String> = taken.values().flatten().cloned().collect();
        taken.retain(|file, from| !from.is_empty() && wanted.contains(file));
        if taken.len() == before {
            return taken.into_keys().collect();
        }
    }
}

#[test]
fn no_file_of_the_command_line_takes_from_one_that_takes_from_it() {
    let sources = sources();
    let known = taken("cli/", &sources);
    assert!(
        known["resolve"].contains("recorded") && known["session"].contains("engine"),
        "{known:?}"
    );
    assert_eq!(circles("cli/", &sources), [] as [String; 0], "{known:#?}");
}

#[test]
fn circles_are_found_through_re_exports_and_from_a_child_to_its_parent() {
    let found = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        circles("cli/", &files.collect()).join(" ")
    };
    let root = ("cli/mod.rs", "mod a; pub use a::A; pub fn f() { a::g() }");
    let ab = |a, b| found(&[root, ("cli/a.rs", a), ("cli/b.rs", b)]);
    assert_eq!(ab("use super::b::{B, C};", "fn b() {}"), "");
    assert_eq!(ab("use super::b::{B, C};", "use super::A;"), "a b");
    assert_eq!(ab("use super::b::{B, C};", "use crate::{model, cli::{a::A}};"), "a b");
    assert_eq!(ab("fn a() { super::b::c() }", "use super::{b::C, A};"), "a b");
    assert!(ab("use super::f;", "").ends_with("a"), "the root calls it");
    let child = ("cli/a/b.rs", "use super::A;");
    assert_eq!(found(&[("cli/a.rs", "mod b; struct A; fn f() { b::g() }"), child]), "a a::b");
    assert_eq!(found(&[("cli/a.rs", "mod b; struct A; pub(super) use b::g;"), child]), "");
}

/// The one breach that a single made-up file has.
fn breach(name: &str, text: &str) -> String {
    let mut found = breaches(&BTreeMap::from([(name.to_owned(), text.to_owned())]));
    assert!(found.len() < 2, "{found:?}");
    found.pop().unwrap_or_default()
}

#[test]
fn forbidden_edges_are_found_in_every_form() {
    let edge = "merge must not use cluster";
    for text in [
        "use crate::cluster::Store;",
        "use crate::{model::Row, cluster};",
        "use crate::{model::{Row, Cell}, cluster::Store};",
        "use super::super::cluster::Store;",
        "fn f() -> crate::cluster::Store { todo }",
        "pub use crate :: cluster;",
        "const A: char = '\"'; use crate::cluster;",
        "fn f<'a>(x: &'a str) { crate::cluster::g::<'a>(x) }",
        "#[cfg(test)]\nmod model;\nuse crate::cluster;",
    ] {
        assert!(breach("merge/join.rs", text).ends_with(edge), "{text}");
    }
    assert!(breach("merge/mod.rs", "use super::cluster;").ends_with(edge));
    assert!(breach("main.rs", "use tributary::plan;").ends_with("main must not use plan"));
    assert!(breach("stray.rs", "").contains("no place"));
}

#[test]
fn what_is_allowed_is_not_flagged() {
    for (name, text) in [
        ("merge/join.rs", "use crate::{model::{Row, cluster}, spec}; use super::cluster;"),
        (
            "merge/join.rs",
            "// crate::cluster\n/* crate::cluster */ const A: &str = \"crate::cluster\";",
        ),
        (
            "merge/join.rs",
            "const A: &str = r#\"crate::\"cluster\"#; const B: &[u8] = b\"crate::cluster\";",
        ),
        (
            "merge/join.rs",
            "fn f() {}\n#[cfg(test)]\nmod tests {\n use crate::cluster; a.unwrap() }",
        ),
        ("merge/join.rs", "use crate::merge::batch; use super::super::model::Row;"),
        ("cluster/mod.rs", "use scylla::client; a.unwrap_or_default();"),
        ("bin/dataset.rs", "use scylla::client; println!(\"\");"),
        ("bin/dataset/load.rs", "use rdkafka::client; use tributary::model;"),
        ("cli/mod.rs", "println!(\"\"); use crate::pipeline;"),
        ("main.rs", "use tributary::cli;"),
    ] {
        assert_eq!(breach(name, text), "", "{name}: {text}");
    }
    let mut sources = BTreeMap::new();
    sources.insert("plan/mod.rs".to_owned(), "#[cfg(test)]\nmod model;\n".to_owned());
    sources.insert("plan/model.rs".to_owned(), "use crate::cluster; a.unwrap()".to_owned());
    sources.insert("plan/model/data.rs".to_owned(), "use crate::cluster; a.unwrap()".to_owned());
    assert_eq!(breaches(&sources), Vec::<String>::new());
}

#[test]
fn drivers_calls_prints_and_long_files_are_found() {
    assert!(breach("pipeline/run.rs", "use scylla::client;").contains("scylla is confined"));
    assert!(breach("clusters.rs", "").contains("no place"));
    assert!(breach("cluster/mod.rs", "fn f() { rdkafka::util::get() }").contains("rdkafka"));
    assert!(breach("plan/mod.rs", "fn f() { a.unwrap() }").contains("unwrap"));
    assert!(breach("plan/mod.rs", "fn f() { a\n    .expect(\"b\") }").contains("expect"));
    assert!(breach("plan/mod.rs", "fn f() { println!(\"\") }").contains("println"));
    assert!(breach("plan/mod.rs", &"\n".repeat(MAX_LINES + 1)).contains("lines"));
    for text in ["\"to go on: tributary resume {run}\"", "\"`tributary \\\n  undo`\""] {
        assert!(breach("cli/undo.rs", text).ends_with("and no Advice"), "{text}");
        assert_eq!(breach("advice.rs", text), "");
    }
    assert_eq!(breach("cli/undo.rs", "\"tributary resumed\" // tributary resume RUN"), "");
}

#[test]
fn comments_that_repeat_a_name_are_found() {
    for text in [
        "/// The topic of a name.\npub fn find_topic(name: &str) {}",
        "struct Run {\n    /// When it started.\n    #[serde(\n        skip\n    )]\n    started_at: u64,\n}",
        "/// The runs.\nenum Run {}",
    ] {
        assert!(breach("run/mod.rs", text).contains("what the name says"), "{text}");
    }
    assert!(breach("run/mod.rs", "#[must_use]\npub fn f() {}").contains("nothing says"));
    for text in [
        "/// In bytes.\nsize: u64",
        "fn f() {}",
        "/// As [`Run`].\nrun: Run",
        "/// One.\n/// Two.\none: u8",
    ] {
        assert_eq!(breach("run/mod.rs", text), "");
    }
    assert_eq!(breach("cli/args/mod.rs", "/// The account\naccount: String"), "");
}

#[test]
fn words_that_had_to_be_explained_are_found_in_every_form() {
    for (name, text, word) in [
        ("run/mod.rs", "let place = 1;", "say index"),
        ("run/mod.rs", "struct TakenBack;", "undone"),
        ("run/mod.rs", "const PUT_OFF: u8 = 1;", "deferred"),
        ("run/mod.rs", "fn f(is_told: bool) {}", "reported"),
        ("run/mod.rs", "struct Row { sealed: bool }", "completion"),
        ("live/board.rs", "", "status"),
    ] {
        assert!(breach(name, text).contains(word), "{name}: {text}: {}", breach(name, text));
    }
    for text in ["// a place\nlet a = \"place\";", "text.replace(a, b)", "is_placeholder()"] {
        assert_eq!(breach("run/mod.rs", text), "");
    }
}
