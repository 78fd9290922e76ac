//! The live page: one HTML text with its style and script in it, and a policy that lets it load nothing else.

use super::guard::random_hex;

/// The page, and the content security policy that it is to be sent with. Both hold a number of this answer alone.
pub(super) fn page() -> Result<(String, String), getrandom::Error> {
    let nonce = random_hex()?;
    let page = include_str!("page.html")
        .replace("/* style */", include_str!("page.css"))
        .replace("/* script */", include_str!("page.js"))
        .replace("{nonce}", &nonce);
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    Ok((page, policy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_what_is_under_way() {
        let (page, _) = page().unwrap();
        assert!(page.contains("const u = f.under_way;"));
        let figures = serde_json::to_value(crate::live::EXAMPLE).unwrap();
        for name in figures.as_object().unwrap().keys() {
            assert!(page.contains(&format!("u.{name}")), "{name}");
        }
        for id in
            ["in-flight", "under-groups", "under-windows", "rate", "under-oldest", "under-bytes"]
        {
            let (shown, filled) = (format!("id=\"{id}\""), format!("say('{id}', "));
            assert!(page.contains(&shown) && page.contains(&filled), "{id}");
        }
    }

    #[test]
    fn the_page_is_whole_and_loads_nothing() {
        let (page, policy) = page().unwrap();
        assert!(page.contains("EventSource") && page.contains("prefers-color-scheme"));
        for part in ["/* style */", "/* script */", "{nonce}", "http://", "https://", "innerHTML"] {
            assert!(!page.contains(part), "{part}");
        }
        assert!(!policy.contains("unsafe"));
        assert_ne!(policy, super::page().unwrap().1, "a number is used once");
    }
}
