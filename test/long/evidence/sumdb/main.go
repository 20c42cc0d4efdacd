// Reads a log of orgtrail over HTTP with golang.org/x/mod/sumdb, the code behind sum.golang.org, which knows nothing of orgtrail.
//
// It verifies the signature of the checkpoint, authenticates every leaf hash against its root by tiles, compares each with the data of
// the leaf, and with an older checkpoint it proves that the log goes on from it. It prints what it verified, and exits with 1 otherwise.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

func main() {
	if len(os.Args) < 3 {
		fail("usage: main URL-OF-THE-LOG VKEY [OLD-CHECKPOINT]")
	}
	base, vkey := os.Args[1], os.Args[2]
	tree := open(get(base+"/checkpoint"), vkey)
	hashes := tlog.TileHashReader(tree, reader{base, map[string][]byte{}})
	records := 0
	for n := int64(0); n < tree.N; n += 1 << height {
		width := min(tree.N-n, 1<<height)
		for at, data := range bundle(base, n>>height, int(width)) {
			index := n + int64(at)
			proof, err := tlog.ProveRecord(tree.N, index, hashes)
			check(err)
			check(tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(data)))
			records++
		}
	}
	if int64(records) != tree.N {
		fail("%d records of %d", records, tree.N)
	}
	fmt.Printf("%d records\n", records)
	if strings.HasSuffix(base, "/events") && tree.N > 0 {
		checkProof(base, vkey, tree)
	}
	if len(os.Args) > 3 {
		text, err := os.ReadFile(os.Args[3])
		check(err)
		old := open(text, vkey)
		proof, err := tlog.ProveTree(tree.N, old.N, hashes)
		check(err)
		check(tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash))
		fmt.Printf("goes on from %d\n", old.N)
	}
}

// A .tlog-proof as it is served.
func checkProof(base, vkey string, tree tlog.Tree) {
	text := string(get(fmt.Sprintf("%s/proof?position=%d", base, tree.N)))
	head, checkpoint, found := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	if !found || lines[0] != "c2sp.org/tlog-proof@v1" || lines[1] != fmt.Sprintf("index %d", tree.N-1) {
		fail("no proof: %q", head)
	}
	of := open([]byte(checkpoint), vkey)
	var proof tlog.RecordProof
	for _, line := range lines[2:] {
		hash, err := tlog.ParseHash(line)
		check(err)
		proof = append(proof, hash)
	}
	last := (of.N - 1) >> height
	records := bundle(base, last, int(of.N-last<<height))
	check(tlog.CheckRecord(proof, of.N, of.Hash, of.N-1, tlog.RecordHash(records[len(records)-1])))
	fmt.Println("its proof")
}

// The checkpoint of C2SP; the package itself knows that of the Go checksum database, which has another first line.
func open(text []byte, vkey string) tlog.Tree {
	verifier, err := note.NewVerifier(vkey)
	check(err)
	opened, err := note.Open(text, note.VerifierList(verifier))
	check(err)
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		fail("not a checkpoint of %s: %q", verifier.Name(), opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err)
	root, err := base64.StdEncoding.DecodeString(lines[2])
	check(err)
	tree := tlog.Tree{N: size}
	copy(tree.Hash[:], root)
	return tree
}

// The data of the leaves of a tile.
func bundle(base string, n int64, width int) [][]byte {
	path := strings.Replace(tlog.Tile{H: height, L: 0, N: n, W: width}.Path(), "tile/8/0/", "tile/entries/", 1)
	var records [][]byte
	for rest := get(base + "/" + path); len(rest) > 0; {
		length := 2 + int(binary.BigEndian.Uint16(rest))
		records = append(records, rest[2:length])
		rest = rest[length:]
	}
	return records
}

type reader struct {
	base string
	read map[string][]byte
}

func (reader) Height() int { return height }

func (r reader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, tile := range tiles {
		// C2SP leaves out the height, which is 8 always.
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		if r.read[path] == nil {
			r.read[path] = get(r.base + "/" + path)
		}
		data = append(data, r.read[path])
	}
	return data, nil
}

func (reader) SaveTiles([]tlog.Tile, [][]byte) {}

func get(url string) []byte {
	answer, err := http.Get(url)
	check(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	check(err)
	if answer.StatusCode != 200 {
		fail("%s: %s", url, answer.Status)
	}
	return body
}

func check(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func fail(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
	os.Exit(1)
}
