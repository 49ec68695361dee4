// Command chart writes the complete Helm chart, with the CSI driver's chart as its sub-chart, to a new folder:
//
//	go run ./deployment/cmd/chart FOLDER
package main

import (
	"context"
	"fmt"
	"os"

	"secrets-provider-aws/deployment"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: chart FOLDER")
		os.Exit(2)
	}
	if err := deployment.WriteChart(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
