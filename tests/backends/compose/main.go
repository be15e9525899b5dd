// Prints docker-compose.yml as JSON, as `docker compose config --format json` does it: read by the same library, checked against the
// specification, interpolated, merged and consistent. Exit code 1 and the reason when it is not.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

func main() {
	project, err := read(context.Background(), os.Args[1:])
	if err == nil {
		var printed []byte
		if printed, err = project.MarshalJSON(); err == nil {
			fmt.Println(string(printed))
			return
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func read(ctx context.Context, files []string) (*types.Project, error) {
	options, err := cli.NewProjectOptions(files, cli.WithOsEnv, cli.WithInterpolation(true), cli.WithResolvedPaths(true),
		cli.WithNormalization(true), cli.WithConsistency(true))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(ctx)
}
