// Reads a Compose file as Docker Compose does and prints what came of it; what is wrong is said, with exit status 1.
// usage: compose-check ENV_FILE COMPOSE_FILE
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	if len(os.Args) != 3 {
		fail("usage: compose-check ENV_FILE COMPOSE_FILE")
	}
	options, err := cli.NewProjectOptions(
		os.Args[2:], cli.WithName("mlpipe"), cli.WithEnvFiles(os.Args[1]), cli.WithDotEnv, cli.WithProfiles([]string{"*"}))
	if err != nil {
		fail(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		fail(err)
	}
	resolved, err := project.MarshalYAML()
	if err != nil {
		fail(err)
	}
	fmt.Print(string(resolved))
}

func fail(reason any) {
	fmt.Fprintln(os.Stderr, reason)
	os.Exit(1)
}
