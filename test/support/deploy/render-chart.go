// Renders the one template of a chart as Helm does, by what Helm is made of: text/template, sprig and sigs.k8s.io/yaml. Helm itself is not in Debian.
// Arguments: the folder of the chart, and values as JSON. Errors of a template end it with 1.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

type files string

func (folder files) Get(name string) string {
	text, err := os.ReadFile(filepath.Join(string(folder), name))
	check(err)
	return string(text)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(folder, name string) map[string]interface{} {
	made := map[string]interface{}{}
	check(yaml.Unmarshal([]byte(files(folder).Get(name)), &made))
	return made
}

func merged(into, from map[string]interface{}) map[string]interface{} {
	for key, value := range from {
		inner, ok := value.(map[string]interface{})
		if old, has := into[key].(map[string]interface{}); ok && has {
			value = merged(old, inner)
		}
		into[key] = value
	}
	return into
}

func main() {
	folder := os.Args[1]
	given := map[string]interface{}{}
	check(json.Unmarshal([]byte(os.Args[2]), &given))
	functions := sprig.TxtFuncMap()
	functions["fromYaml"] = func(text string) (map[string]interface{}, error) {
		made := map[string]interface{}{}
		return made, yaml.Unmarshal([]byte(text), &made)
	}
	functions["toYaml"] = func(value interface{}) (string, error) {
		text, err := yaml.Marshal(value)
		return string(text), err
	}
	name := "templates/orgtrail.yaml"
	made, err := template.New(name).Option("missingkey=zero").Funcs(functions).Parse(files(folder).Get(name))
	check(err)
	chart := read(folder, "Chart.yaml")
	check(made.Execute(os.Stdout, map[string]interface{}{
		"Values":  merged(read(folder, "values.yaml"), given),
		"Chart":   map[string]interface{}{"AppVersion": chart["appVersion"]},
		"Release": map[string]interface{}{"Revision": 1},
		"Files":   files(folder),
	}))
}
