package server

// Route is a row of the table, for tests of all rows.
type Route struct {
	Method, Path string
	Changes      bool
}

// Routes returns the table.
func Routes() []Route {
	var all []Route
	for _, r := range new(Server).routes() {
		all = append(all, Route{r.method, "/v1" + r.path, r.access == change})
	}
	return all
}
