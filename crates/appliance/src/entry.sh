#!/bin/sh
# A user whom the image does not know gets a line in /etc/passwd: Apptainer wants one.
if ! whoami >/dev/null 2>&1 && [ -w /etc/passwd ]; then
    echo "user:x:$(id -u):$(id -g):user:${HOME:-/}:/bin/sh" >>/etc/passwd
fi
exec "$@"
