"""What JMAP says over HTTP: its session, its requests, blobs and news."""
