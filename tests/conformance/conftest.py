"""Keep the tests of the old scaffold to the test that runs them where they belong: in a project of its own."""

collect_ignore = ["scaffold_0_1"]
