package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config/locale"
)

// completionCommand writes the completion script of a shell.
func (p *program) completionCommand(root *cobra.Command) *cobra.Command {
	generate := map[string]func(io.Writer) error{
		"bash": func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"zsh":  func(w io.Writer) error { return mended(w, zshMends, root.GenZshCompletion) },
		"fish": func(w io.Writer) error {
			return mended(w, fishMends, func(w io.Writer) error { return root.GenFishCompletion(w, true) })
		},
		"powershell": root.GenPowerShellCompletionWithDesc,
	}
	cmd := p.command("completion", []string{"shell"}, func(cmd *cobra.Command, args []string) error {
		write, known := generate[args[0]]
		if !known {
			return wrongUsage("admin.unknown_shell", "shell", locale.Clean(args[0]))
		}
		return write(cmd.OutOrStdout())
	})
	cmd.ValidArgsFunction = completions("bash", "zsh", "fish", "powershell")
	return cmd
}

// Titles of apps and names of infobases have blanks in them, and people put them in quotes.
// The scripts that cobra writes lose both: what stands here is put in place of parts of them.
var (
	// A quote that is still open is closed, or else nothing can be evaluated.
	zshMends = []string{
		`out=$(eval ${requestComp} 2>/dev/null)`,
		`out=$(eval ${requestComp} 2>/dev/null || eval "${requestComp}\"" 2>/dev/null || eval "${requestComp}'" 2>/dev/null)`,
	}
	// fish takes words apart and quotes off; they are put together again before they are evaluated.
	fishMends = []string{
		`    set -l lastArg (string escape -- (commandline -ct))
`, `    set -l given (string escape -- $args[2..-1])
    set -l written (commandline -ct)
    set -l last (string unescape -- $written; or string unescape -- $written\"; or string unescape -- $written\')
    set -l lastArg (string escape -- $last)
`,
		`__complete $args[2..-1] $lastArg"`,
		`__complete $given $lastArg"`,
	}
)

// mended writes what generate writes, with texts replaced by others: pairs of what is there
// and what is to be there.
func mended(w io.Writer, pairs []string, generate func(io.Writer) error) error {
	var script bytes.Buffer
	if err := generate(&script); err != nil {
		return err
	}
	text := script.String()
	for i := 0; i < len(pairs); i += 2 {
		if strings.Count(text, pairs[i]) != 1 {
			return fmt.Errorf("the completion script has changed: no %q", pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	_, err := io.WriteString(w, text)
	return err
}
