// The system's certificates; to the helper, the test's own authority is one of them.
