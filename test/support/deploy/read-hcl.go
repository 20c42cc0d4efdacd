// Reads the files of a Terraform module with HashiCorp's own parser, and prints each block (`resource cloudflare_r2_bucket archive`) and each
// reference (`var.bucket`), one a line. Ends with 1 where a file is no HCL.
package main

import (
	"fmt"
	"os"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func main() {
	parser := hclparse.NewParser()
	for _, path := range os.Args[1:] {
		file, trouble := parser.ParseHCLFile(path)
		if trouble.HasErrors() {
			fmt.Fprintln(os.Stderr, trouble)
			os.Exit(1)
		}
		hclsyntax.VisitAll(file.Body.(*hclsyntax.Body), func(node hclsyntax.Node) hcl.Diagnostics {
			switch found := node.(type) {
			case *hclsyntax.Block:
				fmt.Print("block ", found.Type)
				for _, label := range found.Labels {
					fmt.Print(" ", label)
				}
				fmt.Println()
			case *hclsyntax.ScopeTraversalExpr:
				fmt.Print("reference")
				for _, step := range found.Traversal {
					switch part := step.(type) {
					case hcl.TraverseRoot:
						fmt.Print(" ", part.Name)
					case hcl.TraverseAttr:
						fmt.Print(".", part.Name)
					}
				}
				fmt.Println()
			}
			return nil
		})
	}
}
