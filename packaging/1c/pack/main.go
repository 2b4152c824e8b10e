// Command pack checks.
package main

func main() {}
