// Command loud imports Bubble Tea and not quiet: it asks the terminal.
package main

import tea "github.com/charmbracelet/bubbletea"

func main() { tea.Quit() }
