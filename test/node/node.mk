# The one-node Kubernetes of the end-to-end tests, by hand: see test/node/README.md. For the Makefile to include.
.PHONY: node-build node-up node-down node-status node-test

node-build: ## build the node's programs and images into the cache
	go run ./test/node/cmd/node build

node-up: ## bring the node up; it stays until node-down
	go run ./test/node/cmd/node up

node-down: ## end the node and remove what it made
	go run ./test/node/cmd/node down

node-status: ## say what runs
	go run ./test/node/cmd/node status

node-test: ## test the node itself
	go test -tags e2e -count=1 -timeout 60m -v ./test/node/
